# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads a registries.yaml as k3s does, without its secrets: which registries will be asked, which files it names, what
is wrong with it. On the controller."""

from __future__ import annotations

import dataclasses
import difflib
import typing as t
import urllib.parse

TOP_LEVEL = ("mirrors", "configs", "auths")
"""k3s docs, installation/private-registry.md; `auths` is of the older form."""
MIRROR_KEYS = ("endpoint", "rewrite")
CONFIG_KEYS = ("auth", "tls")
TLS_KEYS = ("ca_file", "cert_file", "key_file", "insecure_skip_verify")


@dataclasses.dataclass(frozen=True)
class RegistryFile:
    """`problems`: sentences. `endpoints`: as registry_probe.probe takes them. `files`: paths of certificates and keys
    that it names."""

    problems: list[str]
    endpoints: list[dict[str, t.Any]]
    files: list[str]


def examine(text: str) -> RegistryFile:
    """Examine the text of a registries.yaml. Never shows the content of `auth`."""
    import yaml

    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        hint = (
            ' (a mirror of all registries is written "*", in quotes)'
            if isinstance(error, yaml.composer.ComposerError) or "alias" in str(error)
            else ""
        )
        return RegistryFile([f"it is no YAML{f', line {mark.line + 1}' if mark else ''}{hint}"], [], [])
    if document is None:
        return RegistryFile([], [], [])
    if not isinstance(document, dict):
        return RegistryFile(["it must be a dictionary with mirrors and configs"], [], [])
    problems = _unknown(document, TOP_LEVEL, "")
    configs = _table(document, "configs", problems)
    tls = {host: _tls(host, config, problems) for host, config in configs.items()}
    urls = _mirror_urls(_table(document, "mirrors", problems), problems)
    hosts = {urllib.parse.urlsplit(url).netloc for url in urls}
    urls += [f"https://{host}" for host in configs if host not in hosts and host != "*"]
    endpoints = [
        {"url": url, **_options(tls.get(urllib.parse.urlsplit(url).netloc) or tls.get("*") or {})} for url in urls
    ]
    files = sorted(
        {str(value) for options in tls.values() for key, value in options.items() if key.endswith("_file") and value}
    )
    return RegistryFile(problems, endpoints, files)


def _mirror_urls(mirrors: dict[str, t.Any], problems: list[str]) -> list[str]:
    urls: list[str] = []
    for name, mirror in mirrors.items():
        place = f"mirrors.{name}"
        if not isinstance(mirror, dict):
            if mirror is not None:
                problems.append(f"{place} must be a dictionary")
            continue
        problems += _unknown(mirror, MIRROR_KEYS, f"{place}.")
        endpoints = mirror.get("endpoint") or []
        if not isinstance(endpoints, list):
            problems.append(f"{place}.endpoint must be a list")
            continue
        for url in endpoints:
            if urllib.parse.urlsplit(str(url)).scheme in ("http", "https"):
                urls.append(str(url))
            else:
                problems.append(f"{place}.endpoint: {url} is no URL, which begins with https://")
    return list(dict.fromkeys(urls))


def _tls(host: str, config: t.Any, problems: list[str]) -> dict[str, t.Any]:
    if not isinstance(config, dict):
        problems.append(f"configs.{host} must be a dictionary")
        return {}
    problems += _unknown(config, CONFIG_KEYS, f"configs.{host}.")
    tls = config.get("tls") or {}
    if not isinstance(tls, dict):
        problems.append(f"configs.{host}.tls must be a dictionary")
        return {}
    problems += _unknown(tls, TLS_KEYS, f"configs.{host}.tls.")
    return tls


def _options(tls: dict[str, t.Any]) -> dict[str, t.Any]:
    named = {key: str(tls[key]) for key in ("ca_file", "cert_file", "key_file") if tls.get(key)}
    return {**named, **({"insecure": True} if tls.get("insecure_skip_verify") else {})}


def _table(document: dict[str, t.Any], key: str, problems: list[str]) -> dict[str, t.Any]:
    value = document.get(key) or {}
    if isinstance(value, dict):
        return {str(name): entry for name, entry in value.items()}
    problems.append(f"{key} must be a dictionary")
    return {}


def _unknown(table: dict[str, t.Any], known: tuple[str, ...], place: str) -> list[str]:
    problems = []
    for key in table:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, 1)
            problems.append(f"{place}{key} is unknown to k3s{f', meant is {near[0]}' if near else ''}")
    return problems
