# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which container images charts have with our values: the program helm renders them on the controller, without a
cluster.

An image stands where Kubernetes or an operator looks for it (`image`), or is told to a program that starts it, by an
argument or a variable of its environment.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import typing as t
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ..charts.component import read_charts
from ..charts.download import chart_from_artifacts
from ..charts.model import Chart
from ..errors import PlatformError
from ..host.commands import run_command
from .air_gap_bundle import write

FILE = "platform-images.txt"
RENDER_SECONDS = 120.0
SAID_LINES = 10
_TAG, _DIGEST = r":[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", r"@sha256:[0-9a-f]{64}"
IMAGE = re.compile(rf"[a-z0-9][a-z0-9.-]*(?::\d+)?(?:/[a-z0-9][a-z0-9._-]*)*(?:{_TAG})?(?:{_DIGEST})?")
TOLD = re.compile(
    rf"(?:--?[A-Za-z0-9._-]+=)?([a-z0-9-]+(?:\.[a-z0-9-]+)+(?::\d+)?/[a-z0-9._/-]+(?:{_TAG}(?:{_DIGEST})?|{_DIGEST}))"
)
"""In arguments and variables: with registry, and tag or digest, so that nothing else looks like one."""
HEAD = """\
# Container images of the platform: where each is from, and the name by which nodes ask for it
# (platform_image_registries). To fill a registry:
# grep -v '^#' platform-images.txt | while read -r source name; do
#   skopeo copy --all "docker://$source" "docker://$name"; done
"""


def run(parameters: dict[str, t.Any], check_mode: bool, _hidden: set[str]) -> dict[str, t.Any]:
    """What the module platform_images does; its documentation says what the parameters and the result mean."""
    if shutil.which(parameters["helm"]) is None:
        return {"changed": False, "rendered": False, "images": [], "without_mirror": []}
    folder = Path(parameters["directory"])
    sources = parameters["sources"] or {}
    charts = read_charts(parameters["charts"], sources, 0, state="absent")
    archives = {chart.name: _archive(chart, sources.get(chart.name) or {}, folder, check_mode) for chart in charts}
    present = [chart for chart in charts if archives[chart.name] is not None]
    if len(present) < len(charts):
        return {
            "changed": True,
            "rendered": True,
            "images": [],
            "without_mirror": [],
        }  # a check of what was not downloaded yet
    with ThreadPoolExecutor(max_workers=2) as pool:
        rendered = list(
            pool.map(
                lambda chart: render(
                    chart, str(archives[chart.name]), parameters["helm"], parameters["kubernetes_version"]
                ),
                present,
            )
        )
    names = sorted({name for objects in rendered for name in images_of(objects)})
    registries = parameters["image_registries"] or {}
    pairs = [(source_of(name, registries), name) for name in names]
    content = HEAD + "".join(f"{source} {name}\n" for source, name in pairs)
    changed = write(folder / FILE, content, check_mode=check_mode)
    without = sorted({source.partition("/")[0] for source, name in pairs if source == name})
    return {
        "changed": changed,
        "rendered": True,
        "images": [{"source": source, "name": name} for source, name in pairs],
        "without_mirror": without,
    }


def _archive(chart: Chart, source: dict[str, t.Any], folder: Path, check_mode: bool) -> Path | None:
    if source.get("content"):
        return Path(str(source["content"])).expanduser()
    try:
        return chart_from_artifacts(chart.name, source, folder)
    except PlatformError:
        if check_mode:
            return None
        raise


def render(chart: Chart, archive: str, helm: str, kubernetes_version: str) -> list[dict[str, t.Any]]:
    """The objects of a chart, without those of its tests.

    Args:
        archive: its .tgz.
        kubernetes_version: such as v1.36.4+k3s1; "" for that which helm takes by itself.

    Raises:
        PlatformError: helm can't render it.
    """
    import yaml

    version = kubernetes_version.partition("+")[0]
    with tempfile.TemporaryDirectory(prefix="wasmfaas-chart-") as private:  # 0700
        values = os.path.join(private, "values.yml")
        Path(values).write_text(chart.values_text, encoding="utf-8")
        arguments = [helm, "template", chart.name, archive, "-n", chart.namespace, f"--values={values}", "--skip-tests"]
        completed = run_command(
            [*arguments, *([f"--kube-version={version}"] if version else [])], seconds=RENDER_SECONDS
        )
    if completed.exit_code != 0:
        said = "\n".join((completed.error.strip() or completed.output.strip()).splitlines()[-SAID_LINES:])
        raise PlatformError(
            f"helm can't render the chart {chart.name}: {said}",
            next_step="Correct its values in the inventory; or leave its images out: -e bundle_platform_images=false.",
        )
    # PyYAML's own parser takes half a minute for the largest chart.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return [entry for entry in yaml.load_all(completed.output, Loader=loader) if isinstance(entry, dict)]


def images_of(objects: t.Iterable[dict[str, t.Any]]) -> set[str]:
    """The images in objects, with registry and, where they have neither tag nor digest, with the tag `latest`."""
    return {
        _whole(name) for entry in objects if entry.get("kind") != "CustomResourceDefinition" for name in _found(entry)
    }


def _found(value: t.Any) -> t.Iterator[str]:
    if isinstance(value, list):
        for element in value:
            yield from _found(element)
    elif isinstance(value, dict):
        for key, below in value.items():
            if key == "image" and isinstance(below, str):
                if IMAGE.fullmatch(below):
                    yield below
            elif key in ("args", "command") and isinstance(below, list):
                yield from (match[1] for word in below if (match := TOLD.fullmatch(str(word))))
            elif key == "value" and isinstance(below, str) and "name" in value:
                match = TOLD.fullmatch(below)
                if match:
                    yield match[1]
            else:
                yield from _found(below)


def _whole(name: str) -> str:
    """An image's name as container runtimes complete it."""
    first, slash, _rest = name.partition("/")
    if not slash:
        name = f"docker.io/library/{name}"
    elif "." not in first and ":" not in first and first != "localhost":
        name = f"docker.io/{name}"
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


def source_of(name: str, registries: dict[str, str]) -> str:
    """Where an image is from that nodes ask for by `name`; `registries` as platform_image_registries."""
    for registry, replacement in sorted(registries.items(), key=lambda pair: -len(pair[1])):
        prefix = f"{replacement.rstrip('/')}/"
        if name.startswith(prefix):
            return f"{registry}/{name[len(prefix) :]}"
    return name
