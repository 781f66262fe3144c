# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter `certificate_problem`; its documentation stands in certificate_problem.yml."""

from __future__ import annotations

import datetime
import typing as t

from ansible.errors import AnsibleFilterError

from ..module_utils.platform.certificate import problem


def certificate_problem(certificate: str, names: list[str], key: str | None = None, days: int = 0) -> str:
    """Why the certificate cannot serve the names; see certificate_problem.yml."""
    if not isinstance(certificate, str):
        raise AnsibleFilterError(
            f"certificate_problem: takes a certificate in PEM form, not a {type(certificate).__name__}."
        )
    return problem(certificate, key, names, days=int(days), now=datetime.datetime.now(datetime.UTC))


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"certificate_problem": certificate_problem}
