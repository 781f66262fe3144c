// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1"
)

// What the shim does with an image that containerd has pulled: the rules of containerd-shim-spin v0.24.0 (src/{source,engine,utils,trigger}.rs) and Spin (crates/locked-app).

const (
	manifestMediaType  = "application/vnd.oci.image.manifest.v1+json"
	wasmMediaType      = "application/vnd.wasm.content.layer.v1+wasm"
	dataMediaType      = "application/vnd.wasm.content.layer.v1+data"
	archiveMediaType   = "application/vnd.wasm.content.bundle.v1.tar+gzip"
	lockedAppMediaType = "application/vnd.fermyon.spin.application.v1+config"
)

// image is what a pull leaves on the node.
type image struct {
	reference      string // repository@digest of what was pulled
	manifestDigest string
	isIndex        bool
	manifest       *v1.Manifest
	config         []byte
	configDigest   string
	layers         map[string]layer // by layerKey, since one digest may stand in two layers
}

type layer struct {
	mediaType string
	head      []byte // the first bytes; all of it for a locked app
	isWasm    bool
	shimMinor int // the first shim 0.x that runs the component's HTTP handler; 0: any
}

// layerKey tells layers apart as the shim's caches do: Wasm and data files lie in different directories.
func layerKey(mediaType, digest string) string {
	return mediaType + " " + digest
}

type contentReference struct {
	Source *string `json:"source"`
	Inline *string `json:"inline"`
	Digest *string `json:"digest"`
}

// lockedApplication is locked.rs's LockedApp as far as a start depends on it.
type lockedApplication struct {
	Version          *int             `json:"spin_lock_version"`
	MustUnderstand   []string         `json:"must_understand"`
	HostRequirements map[string]any   `json:"host_requirements"`
	Metadata         map[string]any   `json:"metadata"`
	Variables        map[string]any   `json:"variables"`
	Triggers         []lockedTrigger  `json:"triggers"`
	Components       []lockedFunction `json:"components"`
}

type lockedTrigger struct {
	ID     *string        `json:"id"`
	Type   *string        `json:"trigger_type"`
	Config map[string]any `json:"trigger_config"`
}

type lockedFunction struct {
	ID       *string `json:"id"`
	Metadata map[string]any
	Source   *struct {
		ContentType *string `json:"content_type"`
		contentReference
	} `json:"source"`
	Environment map[string]string `json:"env"`
	Files       []struct {
		Path *string `json:"path"`
		contentReference
	} `json:"files"`
	Config           map[string]string `json:"config"`
	Dependencies     map[string]any    `json:"dependencies"`
	HostRequirements map[string]any    `json:"host_requirements"`
}

// The keys of the locked app: the shim ignores others, and what stands under a misnamed key is lost silently.
// A misnamed key is never right, so the stand-in refuses it: stricter than the shim.
var misnamedKeys = []string{"environment", "variables", "sqlite_databases", "key_value_stores", "allowed_outbound_hosts"}

var supportedTriggers = []string{"http", "redis", "sqs", "mqtt", "command"}

// load returns the application that the shim would run, or the error it would die of.
func (i *image) load(shimVersion string, retained []string) (*lockedApplication, error) {
	fallback := func(reason string) error {
		// Source::File: the shim looks for /spin.toml in the root file system, which is not there.
		return fmt.Errorf("failed to load spin application: couldn't find app source: /spin.toml: No such file or directory (os error 2) [%s]", reason)
	}
	if i.isIndex {
		return nil, fallback("the image is an index, not a manifest")
	}
	if i.manifest.SchemaVersion != 2 {
		return nil, fallback("schemaVersion is not 2")
	}
	var platform struct {
		Architecture *string `json:"architecture"`
		OS           *string `json:"os"`
	}
	if err := json.Unmarshal(i.config, &platform); err != nil {
		return nil, fallback("the config is not JSON: " + err.Error())
	}
	if platform.Architecture == nil || platform.OS == nil {
		return nil, fallback("the config has no architecture or no os")
	}
	if *platform.Architecture != "wasm" {
		return nil, fallback("architecture is not wasm")
	}
	var locked [][]byte
	for _, descriptor := range i.manifest.Layers {
		l := i.layers[layerKey(string(descriptor.MediaType), descriptor.Digest.String())]
		switch l.mediaType {
		case lockedAppMediaType:
			locked = append(locked, l.head)
		case archiveMediaType:
			return nil, errors.New("the stand-in does not unpack archive layers")
		case wasmMediaType:
			if !l.isWasm {
				return nil, fmt.Errorf("failed to load component: layer %s is neither a WebAssembly module nor a component", descriptor.Digest)
			}
		}
	}
	if len(locked) != 1 {
		return nil, fallback(fmt.Sprintf("%d layers of type %s", len(locked), lockedAppMediaType))
	}
	application, err := parseLockedApplication(locked[0])
	if err != nil {
		return nil, fmt.Errorf("failed to parse locked app: %w", err)
	}
	if err := i.checkLoads(application, retained); err != nil {
		return nil, err
	}
	return application, i.checkWorlds(application, shimVersion)
}

// lockedApplication returns the locked app's layer of an image that has loaded.
func (i *image) lockedApplication() []byte {
	for _, descriptor := range i.manifest.Layers {
		if l := i.layers[layerKey(string(descriptor.MediaType), descriptor.Digest.String())]; l.mediaType == lockedAppMediaType {
			return l.head
		}
	}
	return nil
}

func parseLockedApplication(content []byte) (*lockedApplication, error) {
	if bytes.HasPrefix(content, []byte("\xef\xbb\xbf")) {
		return nil, errors.New("expected value at line 1 column 1")
	}
	var application lockedApplication
	if err := json.Unmarshal(content, &application); err != nil {
		return nil, err
	}
	var raw struct {
		Components []map[string]json.RawMessage `json:"components"`
	}
	if err := json.Unmarshal(content, &raw); err != nil {
		return nil, err
	}
	for _, component := range raw.Components {
		for _, key := range misnamedKeys {
			if _, there := component[key]; there {
				return nil, fmt.Errorf("component key `%s` does not exist in a locked app: what stands under it would be lost", key)
			}
		}
	}
	if application.Version == nil {
		return nil, errors.New("missing field `spin_lock_version`")
	}
	if *application.Version != 0 && *application.Version != 1 {
		return nil, fmt.Errorf("unsupported lock version %d", *application.Version)
	}
	if *application.Version == 0 && (len(application.MustUnderstand) > 0 || len(application.HostRequirements) > 0) {
		return nil, errors.New("must_understand and host_requirements need spin_lock_version 1")
	}
	for _, field := range application.MustUnderstand {
		if field != "host_requirements" && field != "component_host_requirements" {
			return nil, fmt.Errorf("must_understand names %q, which this runtime does not know", field)
		}
	}
	if application.Triggers == nil {
		return nil, errors.New("missing field `triggers`")
	}
	if application.Components == nil {
		return nil, errors.New("missing field `components`")
	}
	return &application, nil
}

// checkLoads does what the loader does with each content reference, trigger and component.
func (i *image) checkLoads(application *lockedApplication, retained []string) error {
	ids := map[string]bool{}
	for _, component := range application.Components {
		if component.ID == nil {
			return errors.New("missing field `id` of a component")
		}
		id := *component.ID
		if ids[id] {
			return fmt.Errorf("duplicate component ID %q", id)
		}
		ids[id] = true
		if len(component.HostRequirements) > 0 && !slices.Contains(application.MustUnderstand, "component_host_requirements") {
			return fmt.Errorf("component %q has host_requirements, which must_understand does not name", id)
		}
		if component.Source == nil || component.Source.ContentType == nil {
			return fmt.Errorf("component %q: missing field `source` or `content_type`", id)
		}
		if *component.Source.ContentType != "application/wasm" {
			return fmt.Errorf("component %q: content type %q is not application/wasm", id, *component.Source.ContentType)
		}
		if err := i.checkContent(component.Source.contentReference, wasmMediaType); err != nil {
			return fmt.Errorf("component %q: source: %w", id, err)
		}
		for _, file := range component.Files {
			if file.Path == nil {
				return fmt.Errorf("component %q: missing field `path` of a file", id)
			}
			if strings.HasPrefix(*file.Path, "/") || slices.Contains(strings.Split(*file.Path, "/"), "..") || strings.Contains(*file.Path, "\\") || *file.Path == "" {
				return fmt.Errorf("component %q: file path %q is not relative to the mount point", id, *file.Path)
			}
			if err := i.checkContent(file.contentReference, dataMediaType); err != nil {
				return fmt.Errorf("component %q: file %s: %w", id, *file.Path, err)
			}
		}
		if len(component.Dependencies) > 0 {
			return fmt.Errorf("component %q has dependencies that are not composed: its imports are missing at run time", id)
		}
	}
	if len(application.Triggers) == 0 {
		return errors.New("no triggers in app")
	}
	triggerIDs := map[string]bool{}
	for _, trigger := range application.Triggers {
		if trigger.ID == nil || trigger.Type == nil || trigger.Config == nil {
			return errors.New("missing field `id`, `trigger_type` or `trigger_config` of a trigger")
		}
		if triggerIDs[*trigger.ID] {
			return fmt.Errorf("duplicate trigger ID %q", *trigger.ID)
		}
		triggerIDs[*trigger.ID] = true
		if !slices.Contains(supportedTriggers, *trigger.Type) {
			return fmt.Errorf("only %s triggers are supported, found %q", strings.Join(supportedTriggers, ", "), *trigger.Type)
		}
		if component, _ := trigger.Config["component"].(string); *trigger.Type == "http" && trigger.Config["static_response"] == nil && !ids[component] {
			return fmt.Errorf("trigger %q: unknown component %q", *trigger.ID, component)
		}
		if route := trigger.Config["route"]; *trigger.Type == "http" && route == nil {
			return fmt.Errorf("trigger %q: missing field `route`", *trigger.ID)
		}
	}
	for _, id := range retained {
		if !ids[id] {
			return fmt.Errorf("specified component %q not found in application", id)
		}
	}
	return nil
}

func (i *image) checkContent(reference contentReference, mediaType string) error {
	if reference.Source != nil {
		return fmt.Errorf("content source %q: file:// and other URLs are not supported in a published application", *reference.Source)
	}
	if reference.Digest == nil && mediaType == wasmMediaType {
		return errors.New("content missing expected digest") // a source is looked up by digest only, inline or not
	}
	if reference.Inline != nil {
		// base64's standard alphabet without padding; Strict refuses set bits after the end, as Rust's engine does.
		content, err := base64.RawStdEncoding.Strict().DecodeString(*reference.Inline)
		if err != nil || strings.ContainsAny(*reference.Inline, "\r\n") {
			return fmt.Errorf("invalid base64 in inline content: %v", err)
		}
		if mediaType == wasmMediaType && !isWasm(content) {
			return errors.New("inline content is neither a WebAssembly module nor a component")
		}
		return nil
	}
	if reference.Digest == nil {
		return errors.New("content missing expected digest")
	}
	// The shim ignores layers of other media types (containerd-shim-spin v0.24.0: src/source.rs), so what is in them is missing in the cache.
	if _, there := i.layers[layerKey(mediaType, *reference.Digest)]; !there {
		return fmt.Errorf("content %s is not among the layers of type %s", *reference.Digest, mediaType)
	}
	return nil
}

// checkWorlds refuses WASI p3 components on a shim that lacks them: the draft of 2026-03 came with Spin 4.0 (crates/http/src/trigger.rs), shim 0.25.
func (i *image) checkWorlds(application *lockedApplication, shimVersion string) error {
	for _, component := range application.Components {
		if digest := component.Source.Digest; digest != nil && olderThan(shimVersion, 0, i.layers[layerKey(wasmMediaType, *digest)].shimMinor) {
			return fmt.Errorf("component %q: Expected component to export one of `wasi:http/incoming-handler`, `fermyon:spin/inbound-http`, but it exported none of those", *component.ID)
		}
	}
	return nil
}

// isWasm tells core modules (version 1) and components (version 0x0d, layer 1).
func isWasm(head []byte) bool {
	return bytes.HasPrefix(head, []byte("\x00asm\x01\x00\x00\x00")) || bytes.HasPrefix(head, []byte("\x00asm\x0d\x00\x01\x00"))
}

func olderThan(version string, major, minor int) bool {
	var isMajor, isMinor int
	if _, err := fmt.Sscanf(strings.TrimPrefix(version, "v"), "%d.%d", &isMajor, &isMinor); err != nil {
		return false
	}
	return isMajor < major || isMajor == major && isMinor < minor
}

// behaviour reads how the tests want this application to behave: the first component with STAND_IN_BEHAVIOUR tells.
func (a *lockedApplication) behaviour() (kind string, seconds string) {
	for _, component := range a.Components {
		if kind := component.Environment["STAND_IN_BEHAVIOUR"]; kind != "" {
			return kind, component.Environment["STAND_IN_START_SECONDS"]
		}
	}
	return "", ""
}

func (a *lockedApplication) name() string {
	name, _ := a.Metadata["name"].(string)
	return name
}
