# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests that every address inside the pages leads to a file of assets/; needs pytest only."""

from __future__ import annotations

import html.parser
import pathlib
import tomllib

import pytest

HERE = pathlib.Path(__file__).parent
ASSETS = HERE / "assets"
PAGES = sorted(ASSETS.rglob("*.html"))


class Addresses(html.parser.HTMLParser):
    """Collects the addresses that a page refers to."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attrs if name in ("href", "src") and value]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_address_leads_to_a_file(page: pathlib.Path) -> None:
    addresses = Addresses()
    addresses.feed(page.read_text(encoding="utf-8"))
    assert addresses.found
    for address in addresses.found:
        file = address.removeprefix("/") or "index.html"
        assert (ASSETS / file).is_file(), f"{page.name} refers to {address}"


def test_the_page_for_unknown_addresses_exists() -> None:
    component = tomllib.loads((HERE / "spin.toml").read_text(encoding="utf-8"))["component"]["static-site"]
    assert (ASSETS / component["environment"]["CUSTOM_404_PATH"]).is_file()
