# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the local target refuses before it is asked to deploy."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.manifest.parse import read_manifest
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.spin_function import run
from ansible_collections.wasmfaas.platform.plugins.modules.spin_function import argument_spec

HEAD = 'spin_manifest_version = 2\n[application]\nname = "a"\n'
COMPONENT = '[component.c]\nsource = "c.wasm"\n[component.c.build]\ncommand = "touch ../built; exit 1"\n'
REDIS = '[application.trigger.redis]\naddress = "redis://host"\n[[trigger.redis]]\nchannel = "x"\ncomponent = "c"\n'
WAGI = '[[trigger.http]]\nroute = "/..."\ncomponent = "c"\nexecutor = { type = "wagi" }\n'


@pytest.fixture
def deploy(tmp_path: Path) -> t.Callable[[str], dict[str, t.Any]]:
    """Deploys a project with this manifest to the local target, which the module's parameters describe."""
    (tmp_path / "project").mkdir()

    def deploy(triggers: str) -> dict[str, t.Any]:
        (tmp_path / "project" / "spin.toml").write_text(HEAD + triggers + COMPONENT)
        assert read_manifest(tmp_path / "project").name == "a"
        parameters = {name: option.get("default") for name, option in argument_spec().items()}
        parameters |= {
            "source": str(tmp_path / "project"),
            "target": "local",
            "state_directory": str(tmp_path / "state"),
            "cache_directory": str(tmp_path / "cache"),
        }
        return run(parameters, False, set())

    return deploy


@pytest.mark.parametrize(
    ("triggers", "with_spin", "cause"),
    [
        (REDIS, False, "of the type redis; without Spin"),
        (REDIS, True, "no HTTP trigger"),
        (WAGI, False, "uses the executor wagi, which only Spin has"),
        (WAGI, True, "failed with exit code 1"),
    ],
)
def test_what_the_manifest_decides_is_refused_before_the_build(
    deploy: t.Callable[[str], dict[str, t.Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    triggers: str,
    with_spin: bool,
    cause: str,
) -> None:
    (tmp_path / "bin").mkdir()
    if with_spin:
        (tmp_path / "bin" / "spin").touch(mode=0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    with pytest.raises(PlatformError, match=cause):
        deploy(triggers)
    assert (tmp_path / "built").exists() == (cause == "failed with exit code 1")
