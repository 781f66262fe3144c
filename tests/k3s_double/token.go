// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
)

// token is a cluster's secret in one of its forms (k3s docs: cli/token.md): the password alone, K10<hash of the CA>::USER:PASSWORD,
// or a bootstrap token ID.SECRET with or without the K10 part.
type token struct {
	authorityHash, user, password string
	bootstrap                     bool
}

var bootstrapToken = regexp.MustCompile(`^[a-z0-9]{6}\.[a-z0-9]{16}$`)

func parseToken(text string) (token, error) {
	text = strings.TrimSpace(text)
	body, full := strings.CutPrefix(text, "K10")
	if full && strings.Contains(body, "::") {
		hash, credentials, _ := strings.Cut(body, "::")
		if len(hash) != 64 {
			return token{}, errors.New("invalid token CA hash length")
		}
		if bootstrapToken.MatchString(credentials) {
			return token{authorityHash: hash, user: "", password: credentials, bootstrap: true}, nil
		}
		user, password, found := strings.Cut(credentials, ":")
		if !found || user == "" || password == "" {
			return token{}, errors.New("invalid token format: must be K10<CA-HASH>::<USERNAME>:<PASSWORD>")
		}
		return token{authorityHash: hash, user: user, password: password}, nil
	}
	if text == "" {
		return token{}, errors.New("token is empty")
	}
	return token{password: text, bootstrap: bootstrapToken.MatchString(text)}, nil
}

func (secret token) checkAuthority(bundle []byte) error {
	if hash := authorityHash(bundle); secret.authorityHash != "" && secret.authorityHash != hash {
		return fmt.Errorf("token CA hash does not match the Cluster CA certificate hash: %s != %s", secret.authorityHash, hash)
	}
	return nil
}

// readToken takes token, or the content of token-file; "" if there is neither.
func readToken(all *settings, name string) (string, error) {
	if all.has(name) {
		return all.text(name), nil
	}
	file := all.text(name + "-file")
	if file == "" {
		return "", nil
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	text := strings.TrimSpace(string(content))
	if text == "" {
		return "", fmt.Errorf("%s is empty", file)
	}
	return text, nil
}

// passwords are what this server lets nodes and servers in by.
type passwords struct{ Server, Agent string }

// serverPasswords works out the passwords of a start: from the settings, else from the files of an earlier start, else random.
func serverPasswords(all *settings, place places) (token, passwords, error) {
	text, err := readToken(all, "token")
	if err != nil {
		return token{}, passwords{}, err
	}
	if text == "" {
		if stored, err := os.ReadFile(place.server("token")); err == nil {
			text = string(stored)
		} else if place.hasData() || all.has("server") {
			return token{}, passwords{}, errors.New("--token is required")
		} else {
			text = randomText(16)
		}
	}
	secret, err := parseToken(text)
	if err != nil {
		return token{}, passwords{}, fmt.Errorf("failed to normalize server token: %w", err)
	}
	if secret.bootstrap || (secret.user != "" && secret.user != "server") {
		return token{}, passwords{}, errors.New("failed to normalize server token; must be in format K10<CA-HASH>::server:<PASSWORD> or <PASSWORD>")
	}
	agent, err := readToken(all, "agent-token")
	if err != nil {
		return token{}, passwords{}, err
	}
	if agent == "" {
		return secret, passwords{secret.password, secret.password}, nil // k3s docs: cli/token.md: defaults to the server token
	}
	parsed, err := parseToken(agent)
	if err != nil {
		return token{}, passwords{}, fmt.Errorf("agent-token: %w", err)
	}
	return secret, passwords{secret.password, parsed.password}, nil
}

// writeTokens writes server/token, node-token and agent-token in the secure form (k3s docs: cli/token.md).
func writeTokens(place places, secrets passwords) error {
	if err := writeServerToken(place, secrets.Server); err != nil {
		return err
	}
	if err := link(place.server("token"), place.server("node-token")); err != nil {
		return err
	}
	if secrets.Agent == secrets.Server {
		return link(place.server("token"), place.server("agent-token"))
	}
	hash, err := readAuthorityHash(place.tls("server-ca.crt"))
	if err != nil {
		return err
	}
	return writeFile(place.server("agent-token"), fmt.Appendf(nil, "K10%s::node:%s\n", hash, secrets.Agent), 0o600)
}

func writeServerToken(place places, password string) error {
	hash, err := readAuthorityHash(place.tls("server-ca.crt"))
	if err != nil {
		return err
	}
	return writeFile(place.server("token"), fmt.Appendf(nil, "K10%s::server:%s\n", hash, password), 0o600)
}

func link(target, name string) error {
	if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return os.Symlink(target, name)
}
