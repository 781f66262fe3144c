// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"fmt"
	"os"
	"time"
)

// The lines look like k3s', which logs by logrus: tools that read the journal see the same.
func logLine(level, format string, values ...any) {
	fmt.Fprintf(os.Stderr, "time=%q level=%s msg=%q\n", time.Now().Format(time.RFC3339), level, fmt.Sprintf(format, values...))
}

func logInfo(format string, values ...any)    { logLine("info", format, values...) }
func logWarning(format string, values ...any) { logLine("warning", format, values...) }
func logError(format string, values ...any)   { logLine("error", format, values...) }

func logFatal(format string, values ...any) {
	logLine("fatal", format, values...)
	os.Exit(1)
}
