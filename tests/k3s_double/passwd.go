// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"bytes"
	"encoding/csv"
	"errors"
	"os"
)

// passwdFile holds the passwords by which a server lets nodes and servers in, one user a line: PASSWORD,USER,USER,ROLE. It belongs to the bootstrap data.
const passwdFile = "cred/passwd"

type passwdEntry struct{ password, role string }

// passwd is that file (k3s v1.36.3: pkg/passwd/passwd.go). Like there, its lines have no order, so that two servers with the same users may have different files.
type passwd struct {
	changed bool
	users   map[string]passwdEntry
}

func readPasswd(place places) (*passwd, error) {
	found := &passwd{users: map[string]passwdEntry{}}
	content, err := os.ReadFile(place.server(passwdFile))
	if errors.Is(err, os.ErrNotExist) {
		return found, nil
	}
	if err != nil {
		return nil, err
	}
	reader := csv.NewReader(bytes.NewReader(content))
	reader.FieldsPerRecord = -1
	records, err := reader.ReadAll()
	if err != nil {
		return nil, err
	}
	for _, record := range records {
		if len(record) < 2 {
			return nil, errors.New("password file must have at least 2 columns (password, name)")
		}
		entry := passwdEntry{password: record[0]}
		if len(record) > 3 {
			entry.role = record[3]
		}
		found.users[record[1]] = entry
	}
	return found, nil
}

func (own *passwd) ensure(user, role, password string) {
	if wanted := (passwdEntry{password, role}); own.users[user] != wanted {
		own.users[user], own.changed = wanted, true
	}
}

// write leaves a file alone whose users have not changed, and with it its time.
func (own *passwd) write(place places) error {
	if !own.changed {
		return nil
	}
	var content bytes.Buffer
	writer := csv.NewWriter(&content)
	for user, entry := range own.users {
		if err := writer.Write([]string{entry.password, user, user, entry.role}); err != nil {
			return err
		}
	}
	writer.Flush()
	if err := writer.Error(); err != nil {
		return err
	}
	return writeFile(place.server(passwdFile), content.Bytes(), 0o600)
}

// ensureUsers has the file say what the settings say, at each start after reconciling (k3s v1.36.3: pkg/daemons/control/deps, genUsers). Nothing saves it.
func ensureUsers(place places, secrets passwords) error {
	users, err := readPasswd(place)
	if err != nil {
		return err
	}
	users.ensure("node", "k3s:agent", secrets.Agent)
	users.ensure("server", "k3s:server", secrets.Server)
	return users.write(place)
}
