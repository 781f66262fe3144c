# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small WASI commands in WebAssembly's text form, made binary with the wasm-tools that the local runtime brings."""

from __future__ import annotations

import subprocess

from ansible_collections.wasmfaas.platform.plugins.module_utils.local.installation import Installation

MODULE = """
(module
  (import "wasi_snapshot_preview1" "args_sizes_get" (func $args_sizes_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_get" (func $args_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_sizes_get" (func $environ_sizes_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_get" (func $environ_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 2)
  (func $write (param $from i32) (param $size i32)
    (i32.store (i32.const 8) (local.get $from))
    (i32.store (i32.const 12) (local.get $size))
    (drop (call $fd_write (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 16))))
  (func (export "_start") (local $last i32)
    (drop (call $args_sizes_get (i32.const 0) (i32.const 4)))
    (drop (call $args_get (i32.const 1024) (i32.const 4096)))
    (call $write (i32.const 4096) (i32.load (i32.const 4)))
    (drop (call $environ_sizes_get (i32.const 24) (i32.const 28)))
    (drop (call $environ_get (i32.const 1024) (i32.const 16384)))
    (call $write (i32.const 16384) (i32.load (i32.const 28)))
    (local.set $last (i32.load8_u (i32.add (i32.const 4094) (i32.load (i32.const 4)))))
    (if (i32.eq (local.get $last) (i32.const 0x33)) (then (call $proc_exit (i32.const 3))))
    (if (i32.eq (local.get $last) (i32.const 0x21)) (then unreachable))
    (if (i32.eq (local.get $last) (i32.const 0x3f)) (then (loop $forever (br $forever))))))
"""
"""Writes its arguments and its environment, each text ended by a zero byte. The end of the last argument decides: 3 is
its exit code, with ! it traps, with ? it never ends."""

_COMPONENT = """
(component
  (core module $module (func (export "run") (result i32) {body}))
  (core instance $instance (instantiate $module))
  (func $run (result (result)) (canon lift (core func $instance "run")))
  (instance $exported (export "run" (func $run)))
  (export "wasi:cli/run@0.2.0" (instance $exported)))
"""
ENDS_WELL = _COMPONENT.format(body="i32.const 0")
FAILS = _COMPONENT.format(body="i32.const 1")
TRAPS = _COMPONENT.format(body="unreachable")


def binary(text: str, installed: Installation) -> bytes:
    """The binary form of a module or component."""
    script = (
        'import { parse } from "@bytecodealliance/jco-transpile/wasm-tools"; import { readFileSync } from "node:fs"; '
        'process.stdout.write(await parse(readFileSync(0, "utf8")));'
    )
    command = [str(installed.node), "--input-type=module", "-e", script]
    return subprocess.run(
        command, cwd=installed.runtime_directory, input=text.encode(), capture_output=True, check=True, timeout=120
    ).stdout
