# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The container images of charts with our values: helm renders the charts on the controller, without a cluster.

An image is named where Kubernetes or an operator looks for it (`image`), or in an argument or an environment variable
of the container that starts it.
"""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
import tempfile
import typing as t
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ..charts.component import read_charts
from ..charts.download import chart_from_bundle
from ..charts.model import Chart
from ..errors import PlatformError
from ..host import whole_file
from ..host.commands import run_command

FILE = "platform-images.txt"
RENDER_SECONDS = 120.0
SAID_LINES = 10
_TAG, _DIGEST = r":[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", r"@sha256:[0-9a-f]{64}"
IMAGE = re.compile(rf"[a-z0-9][a-z0-9.-]*(?::\d+)?(?:/[a-z0-9][a-z0-9._-]*)*(?:{_TAG})?(?:{_DIGEST})?")
TOLD = re.compile(
    rf"(?:--?[A-Za-z0-9._-]+=)?([a-z0-9-]+(?:\.[a-z0-9-]+)+(?::\d+)?/[a-z0-9._/-]+(?:{_TAG}(?:{_DIGEST})?|{_DIGEST}))"
)
"""In arguments and environment variables only names with a registry and a tag or digest count, so that nothing else is
taken for an image."""
HEAD = """\
# Container images of the platform: where each is from, and the name by which nodes ask for it
# (platform_image_registries). To fill a registry:
# grep -v '^#' platform-images.txt | while read -r source name; do
#   skopeo copy --all "docker://$source" "docker://$name"; done
"""


@dataclasses.dataclass(frozen=True)
class Listed:
    """The container images of charts.

    Attributes:
        changed: whether FILE held something else.
        rendered: whether helm is installed, or there are no charts.
        images: where each is from, and the name by which nodes ask for it.
    """

    changed: bool = False
    rendered: bool = True
    images: tuple[tuple[str, str], ...] = ()


def list_images(
    entries: list[dict[str, t.Any]],
    sources: dict[str, dict[str, t.Any]],
    bundle: Path,
    *,
    registries: dict[str, str],
    kubernetes_version: str,
    helm: str,
    check_mode: bool,
) -> Listed:
    """Write the images of charts that are in an air-gap bundle to FILE there. Without helm, nothing is written.

    Args:
        entries: charts as the module k3s_charts takes them.
        sources: where each is from, by its name.
        registries: as the variable platform_image_registries.
        kubernetes_version: such as v1.36.4+k3s1; "" for the version that helm assumes.
        helm: name or path of the binary.

    Raises:
        PlatformError: a chart is missing, or helm cannot render it.
    """
    if not entries:
        return Listed()
    if shutil.which(helm) is None:
        return Listed(rendered=False)
    charts = read_charts(entries, sources, 0, state="absent")
    archives = [_archive(chart, sources.get(chart.name) or {}, bundle, check_mode) for chart in charts]
    present = [(chart, str(archive)) for chart, archive in zip(charts, archives, strict=True) if archive is not None]
    if len(present) < len(charts):  # in check mode nothing was downloaded
        return Listed(changed=True)
    with ThreadPoolExecutor(max_workers=2) as pool:
        rendered = list(pool.map(lambda pair: render(pair[0], pair[1], helm, kubernetes_version), present))
    names = sorted({name for objects in rendered for name in images_of(objects)})
    pairs = tuple((source_of(name, registries), name) for name in names)
    content = HEAD + "".join(f"{source} {name}\n" for source, name in pairs)
    return Listed(whole_file.update(str(bundle / FILE), content, check_mode=check_mode), True, pairs)


def _archive(chart: Chart, source: dict[str, t.Any], bundle: Path, check_mode: bool) -> Path | None:
    if source.get("content"):
        return Path(str(source["content"])).expanduser()
    try:
        return chart_from_bundle(chart.name, source, bundle)
    except PlatformError:
        if check_mode:
            return None
        raise


def render(chart: Chart, archive: str, helm: str, kubernetes_version: str) -> list[dict[str, t.Any]]:
    """The objects of a chart, without those of its tests.

    Args:
        archive: its .tgz.
        kubernetes_version: such as v1.36.4+k3s1; "" for the version that helm assumes.

    Raises:
        PlatformError: helm cannot render it.
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
            f"helm cannot render the chart {chart.name}: {said}",
            next_step="Correct its values in the inventory; or list no images: -e bundle_platform_images=false.",
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
    """The name as container runtimes complete it: with registry and tag."""
    first, slash, _rest = name.partition("/")
    if not slash:
        name = f"docker.io/library/{name}"
    elif "." not in first and ":" not in first and first != "localhost":
        name = f"docker.io/{name}"
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


def source_of(name: str, registries: dict[str, str]) -> str:
    """The original name of the image that nodes ask for by `name`; `registries` as platform_image_registries."""
    for registry, replacement in sorted(registries.items(), key=lambda pair: -len(pair[1])):
        prefix = f"{replacement.rstrip('/')}/"
        if name.startswith(prefix):
            return f"{registry}/{name[len(prefix) :]}"
    return name
