# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Distribution registries (tests/servers/cmd/registry) with each kind of access control."""

from __future__ import annotations

import ssl
import subprocess
import typing as t
from pathlib import Path

import bcrypt

from .certificates import CertificateAuthority
from .servers import Programs, Server, answers, free_port, write_json, write_private
from .token_server_stand_in import TokenServerStandIn

USERNAME = "pusher"
PASSWORD = "pass: word/1"


class Registry:
    """A running registry. `host` is `127.0.0.1:PORT`; `url` has the scheme. Start-up: under 1 s."""

    def __init__(
        self,
        programs: Programs,
        directory: Path,
        *,
        basic_auth: bool = False,
        authority: CertificateAuthority | None = None,
        token_server: TokenServerStandIn | None = None,
        address: str = "",
        names: tuple[str, ...] = (),
        login: tuple[str, str] = (USERNAME, PASSWORD),
    ) -> None:
        """Start it with its blobs, configuration and log in `directory`, and with TLS if there is an `authority`.

        Args:
            address: Where it listens, as `ADDRESS:PORT`; by default a free port of 127.0.0.1.
            names: Host names in its certificate; by default localhost. 127.0.0.1 is always in it.
            login: User name and password, if it requires them.
        """
        self.directory = directory
        self.host = address or f"127.0.0.1:{free_port()}"
        self.port = int(self.host.rpartition(":")[2])
        self.url = f"{'https' if authority else 'http'}://{self.host}"
        self.username, self.password = login if basic_auth or token_server else ("", "")
        self.authority_file = authority.certificate_file if authority else None
        directory.mkdir(parents=True, exist_ok=True)
        http: dict[str, t.Any] = {"addr": self.host, "secret": "shared by nobody", "draintimeout": "1s"}
        if authority:
            certificate, key = authority.issue(f"registry-{self.port}", *names)
            http["tls"] = {"certificate": str(certificate), "key": str(key)}
        configuration: dict[str, t.Any] = {
            "version": "0.1",
            "log": {"level": "info", "accesslog": {"disabled": False}},
            "storage": {"filesystem": {"rootdirectory": str(directory / "blobs")}, "delete": {"enabled": True}},
            "http": http,
        }
        if basic_auth:
            # Distribution accepts only bcrypt.
            hashed = bcrypt.hashpw(self.password.encode(), bcrypt.gensalt(4)).decode()
            file = write_private(directory / "htpasswd", f"{self.username}:{hashed}\n")
            configuration["auth"] = {"htpasswd": {"realm": "test registry", "path": str(file)}}
        if token_server:
            configuration["auth"] = {
                "token": {
                    "realm": token_server.url,
                    "service": token_server.service,
                    "issuer": token_server.issuer,
                    "rootcertbundle": str(token_server.certificate_file),
                    "signingalgorithms": ["ES256"],
                }
            }
        file = write_json(directory / "config.yml", configuration)  # JSON is YAML
        # Otherwise Distribution tries to send its traces to localhost:4318.
        environment = {"OTEL_TRACES_EXPORTER": "none"}
        self.server = Server(
            [str(programs.path("registry")), "serve", str(file)],
            log=directory / "registry.log",
            environment=environment,
        )
        verify: t.Any = ssl.create_default_context(cafile=self.authority_file) if self.authority_file else True
        if self.authority_file and names:
            verify.check_hostname = False  # it is asked by its address
        self.server.wait_ready(lambda: answers(f"{self.url}/v2/", verify=verify, statuses=(200, 401)), seconds=30)

    @property
    def auth(self) -> tuple[str, str] | None:
        """User name and password, if the registry requires them."""
        return (self.username, self.password) if self.username else None

    def stop(self) -> None:
        self.server.stop()


def skopeo(*arguments: str) -> str:
    """Run skopeo and return its output."""
    return subprocess.run(["skopeo", *arguments], check=True, capture_output=True, text=True, timeout=60).stdout
