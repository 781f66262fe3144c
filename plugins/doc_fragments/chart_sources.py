# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options that say where Helm charts and CustomResourceDefinitions come from."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  sources:
    description:
      - Where charts come from, one dictionary for each release, by its name.
      - V(repository) is the address of one chart, which begins with C(oci://), or of a repository, which begins with
        C(https://). V(chart) is the name in the repository, by default that of the release. V(version) is the version.
      - V(content) is an archive of the chart (C(.tgz)) on the controller, used instead.
      - V(sha256) of the archive replaces the checksum that this collection has recorded for the version. If it is
        empty, any archive is taken.
    type: dict
    default: {}
  definitions:
    description:
      - Files of objects such as CustomResourceDefinitions, downloaded once to the controller.
    type: list
    elements: dict
    default: []
    suboptions:
      url:
        description: Where the file is.
        type: str
      sha256:
        description: Its SHA-256.
        type: str
      path:
        description: The file on the controller, instead of O(definitions[].url).
        type: path
"""
