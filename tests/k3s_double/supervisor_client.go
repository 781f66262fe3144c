// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// supervisorClient talks to the supervisor of a server, with a token.
type supervisorClient struct {
	address   string // https://HOST:PORT
	secret    token
	authority []byte
	headers   map[string]string
	client    *http.Client
}

// errUnauthorized is a wrong token, errForbidden the right one for something else, or a node password that is not the stored one.
var errUnauthorized, errForbidden = errors.New("not authorized"), errors.New("forbidden")

// newSupervisorClient fetches the cluster's CA without trusting anybody, checks it against the token's hash if that has one, and
// trusts nothing else from then on (k3s docs: cli/token.md: the short form pins nothing).
func newSupervisorClient(ctx context.Context, address string, secret token, user string) (*supervisorClient, error) {
	if secret.user == "" {
		secret.user = user
	}
	own := &supervisorClient{address: strings.TrimSuffix(address, "/"), secret: secret, headers: map[string]string{headerVersion: Version}}
	blind := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, own.address+"/cacerts", nil)
	if err != nil {
		return nil, err
	}
	response, err := blind.Do(request)
	if err != nil {
		return nil, fmt.Errorf("failed to get CA certs: %w", err)
	}
	defer response.Body.Close()
	if own.authority, err = io.ReadAll(io.LimitReader(response.Body, 1<<20)); err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if response.StatusCode != http.StatusOK || !pool.AppendCertsFromPEM(own.authority) {
		return nil, fmt.Errorf("failed to get CA certs: %s/cacerts: %s", own.address, response.Status)
	}
	if err := secret.checkAuthority(own.authority); err != nil {
		return nil, err
	}
	own.client = &http.Client{Timeout: 15 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}}
	return own, nil
}

// call returns the body of a successful answer; else an error with the server's words.
func (own *supervisorClient) call(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, own.address+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if own.secret.bootstrap {
		request.Header.Set("Authorization", "Bearer "+own.secret.password)
	} else {
		request.SetBasicAuth(own.secret.user, own.secret.password)
	}
	for name, value := range own.headers {
		request.Header.Set(name, value)
	}
	response, err := own.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(io.LimitReader(response.Body, 16<<20))
	switch {
	case err != nil:
		return nil, err
	case response.StatusCode == http.StatusUnauthorized:
		return nil, errUnauthorized
	case response.StatusCode == http.StatusForbidden:
		return nil, fmt.Errorf("%w: %s", errForbidden, strings.TrimSpace(string(content)))
	case response.StatusCode/100 != 2:
		return nil, fmt.Errorf("%s: %s", response.Status, strings.TrimSpace(string(content)))
	}
	return content, nil
}

func (own *supervisorClient) get(ctx context.Context, path string, into any) error {
	content, err := own.call(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	return json.Unmarshal(content, into)
}
