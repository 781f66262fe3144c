// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"
)

// stopping is set once this process ends on purpose.
var stopping atomic.Bool

// waitForSignal ends the process on SIGTERM: etcd hands its leadership over first; nothing else needs a farewell, the data survive a SIGKILL as well.
func waitForSignal(own *member) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	<-signals
	stopping.Store(true)
	notify("STOPPING=1")
	if own != nil {
		stopped := make(chan struct{})
		go func() {
			own.etcd.Server.Stop()
			close(stopped)
		}()
		select {
		case <-stopped:
		case <-time.After(5 * time.Second):
		}
	}
	os.Exit(0)
}
