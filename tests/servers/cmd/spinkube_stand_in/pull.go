// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	corev1 "k8s.io/api/core/v1"
)

// imageStore plays containerd's image store: containerd 2 (core/images/mediatypes.go, core/unpack/unpacker.go, internal/cri/server/helpers.go).
type imageStore struct {
	transport http.RoundTripper
	plainHTTP []string // registries, host:port, that may be spoken to without TLS, as in k3s's registries.yaml
	lock      sync.Mutex
	pulled    map[string]*image // by reference
	byConfig  map[string]*image // by config digest: the image ID
}

func newImageStore(authorities []string, plainHTTP []string) (*imageStore, error) {
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	for _, file := range authorities {
		content, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		if !pool.AppendCertsFromPEM(content) {
			return nil, fmt.Errorf("%s holds no certificate", file)
		}
	}
	transport := remote.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	transport.Proxy = nil
	return &imageStore{transport: transport, plainHTTP: plainHTTP, pulled: map[string]*image{}, byConfig: map[string]*image{}}, nil
}

// pull fetches everything that the reference names and verifies each digest and size, or takes what is there already
// (policy IfNotPresent).
//
// The image ID is the digest of the config: of two images with one config, the node runs the one it had first.
func (s *imageStore) pull(ctx context.Context, reference string, always bool, secrets []corev1.Secret) (*image, error) {
	s.lock.Lock()
	present := s.pulled[reference]
	s.lock.Unlock()
	if present != nil && !always {
		return present, nil
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	fetched, err := s.fetch(ctx, reference, secrets)
	if err != nil {
		return nil, fmt.Errorf("failed to pull and unpack image %q: %w", reference, err)
	}
	s.lock.Lock()
	defer s.lock.Unlock()
	if first := s.byConfig[fetched.configDigest]; first != nil && !fetched.isIndex {
		fetched = first
	} else {
		s.byConfig[fetched.configDigest] = fetched
	}
	s.pulled[reference] = fetched
	return fetched, nil
}

func (s *imageStore) fetch(ctx context.Context, reference string, secrets []corev1.Secret) (*image, error) {
	parsed, err := name.ParseReference(reference, name.StrictValidation)
	if err != nil {
		if parsed, err = name.ParseReference(reference); err != nil {
			return nil, err
		}
	}
	host := parsed.Context().RegistryStr()
	insecure := false
	for _, plain := range s.plainHTTP {
		insecure = insecure || plain == host
	}
	if insecure {
		if parsed, err = name.ParseReference(reference, name.Insecure); err != nil {
			return nil, err
		}
	}
	options := []remote.Option{remote.WithContext(ctx), remote.WithTransport(s.transport), remote.WithAuth(credentialsFor(parsed.Context(), secrets)), remote.WithRetryBackoff(remote.Backoff{Steps: 1})}
	descriptor, err := remote.Get(parsed, options...)
	if err != nil {
		return nil, err
	}
	found := &image{manifestDigest: descriptor.Digest.String(), reference: parsed.Context().Name() + "@" + descriptor.Digest.String(), layers: map[string]layer{}}
	if descriptor.MediaType.IsIndex() {
		return s.fetchIndex(descriptor, found)
	}
	if descriptor.MediaType != types.OCIManifestSchema1 && descriptor.MediaType != types.DockerManifestSchema2 {
		return nil, fmt.Errorf("unsupported manifest type %q", descriptor.MediaType)
	}
	manifest, err := v1.ParseManifest(bytes.NewReader(descriptor.Manifest))
	if err != nil {
		return nil, err
	}
	if manifest.MediaType != "" && manifest.MediaType != descriptor.MediaType {
		return nil, fmt.Errorf("mediaType %q in a manifest served as %q", manifest.MediaType, descriptor.MediaType)
	}
	found.manifest = manifest
	found.configDigest = manifest.Config.Digest.String()
	if found.config, err = s.blob(parsed.Context(), manifest.Config, 8<<20, nil, options); err != nil {
		return nil, err
	}
	tarLayers := 0
	for _, wanted := range manifest.Layers {
		if strings.HasPrefix(string(wanted.MediaType), "application/vnd.oci.image.layer.") || strings.HasPrefix(string(wanted.MediaType), "application/vnd.docker.image.rootfs.") {
			tarLayers++
		}
		fetched := layer{mediaType: string(wanted.MediaType)}
		keep := int64(16)
		if fetched.mediaType == lockedAppMediaType {
			keep = 64 << 20
		}
		search := &worldSearch{}
		if fetched.head, err = s.blob(parsed.Context(), wanted, keep, search, options); err != nil {
			return nil, err
		}
		fetched.isWasm = isWasm(fetched.head)
		fetched.shimMinor = search.shimMinor()
		found.layers[layerKey(fetched.mediaType, wanted.Digest.String())] = fetched
	}
	// containerd unpacks tar layers only, and counts them (core/unpack/unpacker.go).
	var config struct {
		RootFS struct {
			DiffIDs []string `json:"diff_ids"`
		} `json:"rootfs"`
	}
	if err := json.Unmarshal(found.config, &config); err != nil {
		return nil, fmt.Errorf("failed to unmarshal image config: %w", err)
	}
	if tarLayers != len(config.RootFS.DiffIDs) {
		return nil, fmt.Errorf("mismatched image rootfs and manifest layers: %d diff_ids, %d tar layers", len(config.RootFS.DiffIDs), tarLayers)
	}
	if tarLayers > 0 {
		return nil, errors.New("failed to extract layer: the stand-in does not unpack tar layers, and a Spin artifact has none")
	}
	return found, nil
}

// fetchIndex: an index with an entry for this node's platform is pulled, and the shim cannot read it (runwasi: containerd/client.rs).
func (s *imageStore) fetchIndex(descriptor *remote.Descriptor, found *image) (*image, error) {
	index, err := v1.ParseIndexManifest(bytes.NewReader(descriptor.Manifest))
	if err != nil {
		return nil, err
	}
	for _, entry := range index.Manifests {
		if entry.Platform != nil && entry.Platform.OS == "linux" && entry.Platform.Architecture == "amd64" || entry.Platform == nil {
			found.isIndex = true
			found.configDigest = found.manifestDigest
			return found, nil
		}
	}
	return nil, errors.New("no match for platform in manifest: not found")
}

// blob reads a blob to its end and returns its first bytes; the library compares the digest, this the size.
func (s *imageStore) blob(repository name.Repository, wanted v1.Descriptor, keep int64, search *worldSearch, options []remote.Option) ([]byte, error) {
	blob, err := remote.Layer(repository.Digest(wanted.Digest.String()), options...)
	if err != nil {
		return nil, err
	}
	reader, err := blob.Compressed()
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	var content io.Reader = reader
	if search != nil {
		content = io.TeeReader(reader, search)
	}
	head, err := io.ReadAll(io.LimitReader(content, keep))
	if err != nil {
		return nil, fmt.Errorf("failed to copy %s: %w", wanted.Digest, err)
	}
	rest, err := io.Copy(io.Discard, content)
	if err != nil {
		return nil, fmt.Errorf("failed to copy %s: %w", wanted.Digest, err)
	}
	if size := int64(len(head)) + rest; size != wanted.Size {
		return nil, fmt.Errorf("failed size validation of %s: %d != %d: failed precondition", wanted.Digest, size, wanted.Size)
	}
	return head, nil
}

// worldSearch looks for the names of the HTTP worlds in a stream (spin v4.0.2: crates/http/src/trigger.rs): no parser, a name is enough.
type worldSearch struct {
	p2, p3, p3Draft bool
	tail            []byte
}

func (w *worldSearch) Write(chunk []byte) (int, error) {
	window := append(w.tail, chunk...)
	w.p2 = w.p2 || bytes.Contains(window, []byte("wasi:http/incoming-handler@0.2")) || bytes.Contains(window, []byte("fermyon:spin/inbound-http"))
	w.p3 = w.p3 || bytes.Contains(window, []byte("wasi:http/handler@0.3.0"))
	w.p3Draft = w.p3Draft || bytes.Contains(window, []byte("wasi:http/handler@0.3.0-rc-2026-03-15"))
	w.tail = append([]byte{}, window[max(0, len(window)-40):]...)
	return len(chunk), nil
}

// shimMinor is the first shim 0.x with the handler: the draft of WASI 0.3.0 is in Spin 4.0 (shim 0.25), the final one in Spin 4.1 (wit/world.wit on its main
// branch at 94a8fc8), which no shim up to 0.25 has.
func (w *worldSearch) shimMinor() int {
	switch {
	case w.p2 || !w.p3:
		return 0
	case w.p3Draft:
		return 25
	default:
		return 26
	}
}

// credentialsFor finds the credentials of a repository as kubelet does: the entries of all secrets, the longest match first.
func credentialsFor(repository name.Repository, secrets []corev1.Secret) authn.Authenticator {
	type entry struct {
		Username, Password, Auth string
		IdentityToken            string `json:"identitytoken"`
	}
	best, bestLength := entry{}, -1
	for _, secret := range secrets {
		var file struct {
			Auths map[string]entry `json:"auths"`
		}
		if secret.Type != corev1.SecretTypeDockerConfigJson || json.Unmarshal(secret.Data[corev1.DockerConfigJsonKey], &file) != nil {
			continue
		}
		for key, candidate := range file.Auths {
			key = strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(key, "https://"), "http://"), "/")
			key = strings.TrimSuffix(strings.TrimSuffix(key, "/v2"), "/v1")
			full := repository.RegistryStr() + "/" + repository.RepositoryStr()
			if (full == key || strings.HasPrefix(full, key+"/")) && len(key) > bestLength {
				best, bestLength = candidate, len(key)
			}
		}
	}
	if bestLength < 0 {
		return authn.Anonymous
	}
	if best.Username == "" && best.Auth != "" {
		if decoded, err := base64.StdEncoding.DecodeString(best.Auth); err == nil {
			best.Username, best.Password, _ = strings.Cut(string(decoded), ":")
		}
	}
	return authn.FromConfig(authn.AuthConfig{Username: best.Username, Password: best.Password, IdentityToken: best.IdentityToken})
}
