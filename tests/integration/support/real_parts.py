# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Released controllers of the platform, built from their Go modules (tests/real_parts) and started for a control
plane."""

from __future__ import annotations

import base64
import dataclasses
import typing as t
from pathlib import Path

import pytest
import yaml
from lightkube import ApiError
from lightkube.codecs import from_dict

from . import go_build
from .certificates import CertificateAuthority
from .control_plane import ControlPlane, SpinApp
from .servers import REPOSITORY, Server, ServerError, answers, free_port, wait_until

SOURCES = REPOSITORY / "tests" / "real_parts"
BUILD_SECONDS = 3600.0


class PartMissingError(ServerError):
    """The sources of a controller are not available here; the message is a reason to skip a test."""


@dataclasses.dataclass(frozen=True)
class RealPart:
    """A Go module of tests/real_parts.

    Attributes:
        name: Name of its directory there and, with dashes, of its directory in the cache.
        module: Path of the module that has the controller.
        programs: Names of the programs by their packages.
        files: Files and directories of the module that are kept too, with the names that they get.
        minutes: Approximate time of the first build on 2 cores.
    """

    name: str
    module: str
    programs: dict[str, str]
    files: dict[str, str]
    minutes: int

    @property
    def sources(self) -> Path:
        return SOURCES / self.name

    def built(self) -> Path | None:
        """The directory with programs and files for the current sources; None if it is not built yet."""
        directory = go_build.cache_directory(self.name.replace("_", "-")) / go_build.digest(self.sources)
        return directory if directory.is_dir() else None

    def why_not(self) -> str:
        """Why a test cannot use it; empty if it can. Tests do not build it, which takes longer than the tests."""
        if self.built():
            return ""
        return f"{self.name} is not built; `make programs-full` builds it in {self.minutes} minutes"

    def build(self) -> Path:
        """The directory of `built`, which is built if it is missing.

        Raises:
            PartMissingError: there is no Go of the version in go.mod, or a module is not available.
            ServerError: the build failed.
        """
        return go_build.filled_once(
            self.name.replace("_", "-"), go_build.digest(self.sources), self._build_into, kept=2
        )

    def build_or_skip(self) -> Path:
        """The directory of `build`; skips the test with the reason where the sources are not available."""
        try:
            return self.build()
        except PartMissingError as error:
            pytest.skip(str(error))

    def _build_into(self, directory: Path) -> None:
        try:
            go_build.go(self.sources, "list", "-deps", *self.programs, seconds=BUILD_SECONDS)
        except go_build.BuildError as error:
            raise PartMissingError(f"{self.name} cannot be built here: {error}") from error
        try:
            for package, program in self.programs.items():
                go_build.build(self.sources, directory / program, packages=[package], seconds=BUILD_SECONDS)
            module = Path(go_build.go(self.sources, "list", "-m", "-f", "{{.Dir}}", self.module, seconds=60).strip())
        except go_build.BuildError as error:
            raise ServerError(str(error)) from error
        for source, name in self.files.items():
            _copy(module / source, directory / name)


def _copy(source: Path, target: Path) -> None:
    """Copy only the content, because files of Go's module cache are read-only, and our cache must be removable."""
    if source.is_dir():
        target.mkdir()
        for entry in source.iterdir():
            _copy(entry, target / entry.name)
    else:
        target.write_bytes(source.read_bytes())


SPIN_OPERATOR = RealPart(
    "spin_operator",
    "github.com/spinkube/spin-operator",
    {".": "spin_operator"},
    {"config/webhook/manifests.yaml": "webhooks.yaml", "config/rbac/role.yaml": "role.yaml"},
    minutes=3,
)


def webhook_configurations(manifests: Path, *, url: str, authority: Path, prefix: str) -> list[dict[str, t.Any]]:
    """The webhook configurations in a manifest of kubebuilder, changed for webhooks outside the cluster.

    Args:
        url: Address of the webhooks, without a path.
        authority: PEM file of the authority that signed their certificate.
        prefix: Prefix of the configurations' names.
    """
    bundle = base64.b64encode(authority.read_bytes()).decode()
    found = []
    for configuration in filter(None, yaml.safe_load_all(manifests.read_text())):
        configuration["metadata"] = {"name": f"{prefix}-{configuration['metadata']['name']}"}
        for webhook in configuration["webhooks"]:
            webhook["clientConfig"] = {"url": url + webhook["clientConfig"]["service"]["path"], "caBundle": bundle}
        found.append(configuration)
    return found


class SpinOperator:
    """spin-operator with its webhooks for a control plane. Start-up: about 2 s.

    It has exactly the permissions that its chart gives it.
    """

    def __init__(
        self, programs: Path, control_plane: ControlPlane, directory: Path, authority: CertificateAuthority
    ) -> None:
        """Start it and register its webhooks.

        Args:
            programs: Directory of `SPIN_OPERATOR.build()`.
            directory: Directory for its key and log; it may exist.
        """
        self.control_plane = control_plane
        keys = directory / "spin_operator_keys"
        keys.mkdir(parents=True)
        certificate, key = authority.issue("spin_operator")
        (keys / "tls.crt").symlink_to(certificate.resolve())
        (keys / "tls.key").symlink_to(key.resolve())
        port, health = free_port(), f"127.0.0.1:{free_port()}"
        kubeconfig = control_plane.kubeconfig_with_role(
            "spin-operator", yaml.safe_load((programs / "role.yaml").read_text())["rules"]
        )
        self.server = Server(
            [
                str(programs / "spin_operator"),
                f"--kubeconfig={kubeconfig}",
                f"--webhook-port={port}",
                f"--webhook-keys={keys}",
                f"--health-probe-bind-address={health}",
            ],
            log=directory / "spin_operator.log",
        )
        self.server.wait_ready(lambda: answers(f"http://{health}/readyz"), seconds=300)
        self._webhooks = webhook_configurations(
            programs / "webhooks.yaml",
            url=f"https://127.0.0.1:{port}",
            authority=authority.certificate_file,
            prefix="spin",
        )
        control_plane.apply(*self._webhooks)
        # The API server watches the configurations, so it calls the webhooks only a moment later.
        wait_until(
            lambda: "Required value" not in self._refusal({}),
            seconds=300,
            what="the API server asks the operator's mutating webhook",
        )
        wait_until(
            lambda: "does not exist" in self._refusal({"executor": "none"}),
            seconds=300,
            what="the API server asks the operator's validating webhook",
        )

    def _refusal(self, spec: dict[str, t.Any]) -> str:
        """Why the API server refuses a SpinApp; empty if it accepts it."""
        metadata = {"name": "never-made", "namespace": "default"}
        app = SpinApp(
            {
                "apiVersion": "core.spinkube.dev/v1alpha1",
                "kind": "SpinApp",
                "metadata": metadata,
                "spec": {"image": "none", "replicas": 1, **spec},
            }
        )
        try:
            self.control_plane.client().apply(app, dry_run=True)
        except ApiError as error:
            return str(error)
        return ""

    def stop(self) -> None:
        """End it and remove its webhooks, which would refuse every SpinApp from then on. Further calls do nothing."""
        client = self.control_plane.client()
        try:
            while self._webhooks:
                configuration = self._webhooks.pop()
                client.delete(type(from_dict(configuration)), configuration["metadata"]["name"])
        finally:
            self.server.stop()
