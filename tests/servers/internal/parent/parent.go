// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Package parent ends a test server with the test session that started it, however that session ended.
package parent

import (
	"io"
	"os"
	"syscall"
)

// FollowStandardInput asks this process to stop when its standard input closes, if STOP_WITH_STANDARD_INPUT is set:
// the session holds the other end of the pipe, and the kernel closes it even after a SIGKILL.
func FollowStandardInput() {
	if os.Getenv("STOP_WITH_STANDARD_INPUT") == "" {
		return
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		_ = syscall.Kill(os.Getpid(), syscall.SIGTERM)
	}()
}
