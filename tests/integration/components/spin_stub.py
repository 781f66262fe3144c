# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stands for the Spin CLI 4 in tests: takes `spin up` with only the flags that Spin has, loads spin.toml strictly,
tells by HTTP what it got.

It runs no WebAssembly.
"""

from __future__ import annotations

import argparse
import http.server
import json
import os
import sys
import tomllib
from pathlib import Path

MANIFEST_KEYS = {"spin_manifest_version", "application", "variables", "trigger", "component"}
COMPONENT_KEYS = {
    "source",
    "description",
    "variables",
    "environment",
    "files",
    "exclude_files",
    "allowed_outbound_hosts",
    "key_value_stores",
    "sqlite_databases",
    "ai_models",
    "build",
    "dependencies",
}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="spin", allow_abbrev=False)
    up = parser.add_subparsers(required=True).add_parser("up", allow_abbrev=False)
    up.add_argument("-f", "--from", dest="manifest", required=True, type=Path)
    up.add_argument("--listen", default="127.0.0.1:3000")
    up.add_argument("--state-dir", type=Path, required=True)
    up.add_argument("--runtime-config-file", type=Path)
    up.add_argument("-q", "--quiet", action="store_true")
    return parser.parse_args()


def main() -> None:
    given = arguments()
    manifest = tomllib.loads(given.manifest.read_text())
    if unknown := set(manifest) - MANIFEST_KEYS:
        sys.exit(f"unknown keys in spin.toml: {unknown}")
    for identifier, component in manifest["component"].items():
        if unknown := set(component) - COMPONENT_KEYS:
            sys.exit(f"unknown keys in component {identifier}: {unknown}")
        if (given.manifest.parent / component["source"]).read_bytes()[:4] != b"\0asm":
            sys.exit(f"source of {identifier} is no WebAssembly")
        for mount in component.get("files", []):
            if not (given.manifest.parent / mount["source"]).is_dir():
                sys.exit(f"no such directory: {mount['source']}")
    variables = {
        name.removeprefix("SPIN_VARIABLE_").lower(): value
        for name, value in os.environ.items()
        if name.startswith("SPIN_VARIABLE_")
    }
    for name, variable in manifest.get("variables", {}).items():
        if variable.get("required") and name not in variables:
            sys.exit(f"no provider resolved required variable {name!r}")
    if any("please-fail" in component.get("environment", {}) for component in manifest["component"].values()):
        sys.exit("Error: Failed to instantiate component")
    told = {
        "manifest": manifest,
        "variables": variables,
        "runtime_config": tomllib.loads(given.runtime_config_file.read_text()) if given.runtime_config_file else None,
        "state_directory": str(given.state_dir),
    }

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = b"OK" if self.path == "/.well-known/spin/health" else json.dumps(told).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    host, _separator, port = given.listen.partition(":")
    http.server.ThreadingHTTPServer((host, int(port)), Handler).serve_forever()


if __name__ == "__main__":
    main()
