// Package ext is empty, as it is in Traefik without extensions. Traefik's go.mod replaces it by a path of its own
// repository, which a module that depends on Traefik does not have.
package ext

// HTTP extends the HTTP configuration by nothing.
type HTTP struct{}

// Router extends a router's configuration by nothing.
type Router struct{}
