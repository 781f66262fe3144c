//go:build tools

// Package tools pins Traefik; tests/integration/support/traefik.py builds it.
package tools

import (
	_ "github.com/traefik/traefik/v3/cmd/traefik"
)
