// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"sigs.k8s.io/yaml"
)

// settings are the merged values of files, environment and command line, all kept as strings.
type settings struct {
	values map[string][]string
}

func (all *settings) has(name string) bool { return len(all.values[name]) > 0 }

func (all *settings) text(name string) string {
	if values := all.values[name]; len(values) > 0 {
		return values[len(values)-1]
	}
	return flagRules[name].fallback
}

func (all *settings) list(name string) []string {
	if values := all.values[name]; len(values) > 0 {
		return values
	}
	if flagRules[name].fallback != "" {
		return []string{flagRules[name].fallback}
	}
	return nil
}

func (all *settings) flag(name string) bool { return all.text(name) == "true" }

func (all *settings) number(name string) int {
	number, _ := strconv.Atoi(all.text(name))
	return number
}

// loadSettings reads config.yaml and config.yaml.d (alphabetical, the last one wins, `key+` appends); environment and command
// line beat the files (k3s docs: installation/configuration.md). Strict where k3s is not: types, choices and versions of keys.
// role is "server", "agent", or "" for the other commands, which take from the files what they know.
func loadSettings(role string, arguments []string) (*settings, []string, error) {
	line, rest, err := parseCommandLine(role, arguments)
	if err != nil {
		return nil, nil, err
	}
	all := &settings{values: map[string][]string{}}
	file := firstOf(last(line["config"]), os.Getenv("K3S_CONFIG_FILE"), flagRules["config"].fallback)
	files := []string{file}
	dropIns, err := filepath.Glob(file + ".d/*.yaml")
	if err != nil {
		return nil, nil, err
	}
	sort.Strings(dropIns)
	for _, name := range append(files, dropIns...) {
		if err := all.addFile(role, name); errors.Is(err, errUndefined) {
			fmt.Printf("Incorrect Usage: %s\n", err)
			return nil, nil, fmt.Errorf("Error: %w", err) //nolint:staticcheck // k3s' words
		} else if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	for name, rule := range flagRules {
		if value := os.Getenv(rule.environment); rule.environment != "" && value != "" && (role == "" || rule.scope == "both" || rule.scope == role) {
			all.values[name] = []string{value}
		}
	}
	for name, values := range line {
		all.values[name] = values
	}
	return all, rest, nil
}

// errUndefined is what the command line's parser says of a flag that its command does not have.
var errUndefined = errors.New("flag provided but not defined")

// addFile takes the keys of a file. A key becomes a flag: those that a server does not know are dropped with a warning, an agent's are not looked
// at and stop it, a server's key on an agent too (k3s v1.35.5: pkg/configfilearg/parser.go stripInvalidFlags, defaultparser.go ValidFlags).
func (all *settings) addFile(role, file string) error {
	content, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var keys map[string]any
	if err := yaml.UnmarshalStrict(content, &keys); err != nil {
		return err
	}
	for key, value := range keys {
		name, appended := strings.CutSuffix(key, "+")
		rule, known := flagRules[name]
		if !known && role == "server" {
			logWarning("Unknown flag --%s found in config.yaml, skipping\n", name)
		}
		if role == "agent" && (!known || rule.scope == "server") {
			return fmt.Errorf("%w: -%s", errUndefined, name)
		}
		if !known {
			continue
		}
		values, err := rule.convert(value)
		if err != nil {
			return fmt.Errorf("key %q: %w", name, err)
		}
		if err := rule.check(role, values); err != nil {
			return err
		}
		if name == "cluster-reset" || name == "cluster-reset-restore-path" || name == "config" {
			return fmt.Errorf("key %q belongs on the command line: k3s would do it at each start", name)
		}
		if appended {
			values = append(slices.Clone(all.values[name]), values...)
		}
		all.values[name] = values
	}
	return nil
}

// convert gives the strings of a YAML value.
func (rule flagRule) convert(value any) ([]string, error) {
	if items, isList := value.([]any); isList {
		if rule.kind != "list" {
			return nil, fmt.Errorf("a list, and not a %s", rule.kind)
		}
		var texts []string
		for _, item := range items {
			text, err := flagRule{kind: "string"}.convert(item)
			if err != nil {
				return nil, err
			}
			texts = append(texts, text...)
		}
		return texts, nil
	}
	switch value := value.(type) {
	case nil:
		return nil, errors.New("has no value")
	case map[string]any:
		return nil, fmt.Errorf("a map, and not a %s", rule.kind)
	case bool:
		return []string{strconv.FormatBool(value)}, nil
	case float64:
		if rule.name == "write-kubeconfig-mode" {
			return nil, errors.New("quote it: an unquoted octal number is another one")
		}
		return []string{strconv.FormatFloat(value, 'f', -1, 64)}, nil
	}
	return []string{fmt.Sprint(value)}, nil
}

func (rule flagRule) check(role string, values []string) error {
	if role == "agent" && rule.scope == "server" {
		return fmt.Errorf("%w: -%s", errUndefined, rule.name)
	}
	if rule.since > minorOf(Version) {
		return fmt.Errorf("key %q is new in 1.%d, this is %s", rule.name, rule.since, Version)
	}
	for _, value := range values {
		var err error
		switch rule.kind {
		case "bool":
			if value != "true" && value != "false" {
				err = errors.New("not true or false")
			}
		case "int":
			_, err = strconv.Atoi(value)
		case "duration":
			_, err = time.ParseDuration(value)
		}
		if err != nil {
			return fmt.Errorf("key %q: %w", rule.name, err)
		}
		if (len(rule.choices) > 0 && !slices.Contains(rule.choices, value)) || goneSetting(rule.name, value) {
			return fmt.Errorf("key %q: %q is none of %s", rule.name, value, strings.Join(rule.choices, ", "))
		}
	}
	return nil
}

// parseCommandLine takes the known long flags; the rest are the words between them.
func parseCommandLine(role string, arguments []string) (map[string][]string, []string, error) {
	found, rest := map[string][]string{}, []string{}
	short := map[string]string{"-t": "--token", "-s": "--server", "-c": "--config", "-d": "--data-dir"}
	for i := 0; i < len(arguments); i++ {
		argument := firstOf(short[arguments[i]], arguments[i])
		body, isFlag := strings.CutPrefix(argument, "--")
		if !isFlag {
			rest = append(rest, argument)
			continue
		}
		name, value, hasValue := strings.Cut(body, "=")
		rule, known := flagRules[name]
		if !known {
			if role != "" {
				return nil, nil, fmt.Errorf("flag provided but not defined: --%s", name)
			}
			rest = append(rest, argument)
			continue
		}
		if !hasValue && rule.kind == "bool" {
			value, hasValue = "true", true
		}
		if !hasValue {
			if i++; i == len(arguments) {
				return nil, nil, fmt.Errorf("flag needs an argument: --%s", name)
			}
			value = arguments[i]
		}
		if err := rule.check(role, []string{value}); err != nil {
			return nil, nil, err
		}
		found[name] = append(found[name], value)
	}
	return found, rest, nil
}

func firstOf(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}

func last(texts []string) string {
	if len(texts) == 0 {
		return ""
	}
	return texts[len(texts)-1]
}
