# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When the real controllers of the tests are built, and that their versions are those that the platform installs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from .support import go_build, module_files, real_parts
from .support.keda import KEDA, KEDA_HTTP_ADD_ON
from .support.real_parts import SPIN_OPERATOR, PartMissingError, RealPart

ROOT = Path(__file__).resolve().parents[2]
PARTS = {
    "spin-operator": (SPIN_OPERATOR, module_files.SPIN_OPERATOR),
    "keda": (KEDA, module_files.KEDA),
    "keda-add-ons-http": (KEDA_HTTP_ADD_ON, module_files.KEDA_HTTP_ADD_ON),
}


@pytest.mark.parametrize("chart", PARTS)
def test_versions_are_those_of_the_platform(chart: str) -> None:
    """A chart of KEDA's has its own patch version; minor versions are the program's."""
    part, module = PARTS[chart]
    charts = yaml.safe_load((ROOT / "roles/platform/defaults/main.yml").read_text(encoding="utf-8"))["platform_charts"]
    minor = re.match(r"v?(\d+\.\d+)\.", charts[chart]["version"])
    assert minor is not None and module.version.startswith(f"v{minor[1]}.")
    required = re.search(
        rf"^(?:require )?\s*{re.escape(module.path)} (\S+)", (part.sources / "go.mod").read_text(), re.MULTILINE
    )
    assert required is not None and required[1] == module.version
    assert f"{module.path} {module.version} {module.checksum}\n" in (part.sources / "go.sum").read_text()


def test_part_that_takes_long_is_not_built_by_a_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert KEDA.why_not() == "keda is not built; `make programs-full` builds it in 10 minutes"
    (go_build.cache_directory("keda") / go_build.digest(KEDA.sources)).mkdir()
    assert KEDA.why_not() == ""


def test_missing_module_is_a_reason_to_skip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("GOPROXY", "off")
    monkeypatch.setenv("GOFLAGS", "-mod=mod")
    monkeypatch.setattr(real_parts, "SOURCES", tmp_path)
    sources = tmp_path / "nowhere"
    sources.mkdir()
    (sources / "go.mod").write_text("module example.com/none\n\ngo 1.24\n\nrequire example.invalid/part v1.0.0\n")
    (sources / "main.go").write_text('package main\n\nimport _ "example.invalid/part"\n\nfunc main() {}\n')
    part = RealPart("nowhere", "example.invalid/part", {".": "part"}, {}, minutes=1)
    with pytest.raises(PartMissingError, match="nowhere cannot be built here"):
        part.build()
    assert part.built() is None
