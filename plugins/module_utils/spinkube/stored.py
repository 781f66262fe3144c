# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the API server stores a SpinApp: the operator's mutating webhook reads it into its Go types and writes those
back.

Two things change on the way (spin-operator v0.6.1: api/v1alpha1/spinapp_types.go; controller-runtime v0.21.0:
pkg/webhook/admission/defaulter_custom.go):

- A list without `omitempty` that is left out becomes null, which the API server refuses. There is one, `httpHeaders`:
  see `objects.py`.
- Quantities get the spelling of Kubernetes: `0.5` becomes `500m`. This must not count as a difference, or every run
  would deploy again.
"""

from __future__ import annotations

import decimal
import re
import typing as t

from .kinds import Object

_QUANTITY = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))(?:([eE][+-]?\d+)|(Ki|Mi|Gi|Ti|Pi|Ei|n|u|m|k|M|G|T|P|E))?")
_DECIMAL_EXPONENT = {"n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY_EXPONENT = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_SMALLEST = decimal.Decimal("1e-9")
_DIGITS = decimal.Context(prec=60)


def quantity(text: t.Any) -> decimal.Decimal | None:
    """The number that a quantity of Kubernetes stands for, rounded up to 1e-9 as there; None if `text` is none
    (apimachinery: pkg/api/resource/quantity.go)."""
    match = (
        _QUANTITY.fullmatch(str(text)) if isinstance(text, (str, int, float)) and not isinstance(text, bool) else None
    )
    if match is None:
        return None
    number = _DIGITS.create_decimal(match[1] + (match[2] or ""))
    if match[3] in _BINARY_EXPONENT:
        number = _DIGITS.multiply(number, decimal.Decimal(2 ** _BINARY_EXPONENT[match[3]]))
    elif match[3]:
        number = number.scaleb(_DECIMAL_EXPONENT[match[3]], _DIGITS)
    return number.quantize(_SMALLEST, decimal.ROUND_UP, _DIGITS)


def in_spelling_of(live: Object, desired: Object) -> Object:
    """The SpinApp `live`, with its quantities written as in the SpinApp `desired` where they mean the same."""
    spec, resources = live.get("spec") or {}, dict((live.get("spec") or {}).get("resources") or {})
    for kind, values in ((desired.get("spec") or {}).get("resources") or {}).items():
        if resources.get(kind):
            stored = resources[kind]
            resources[kind] = {
                name: values[name] if name in values and _same(values[name], value) else value
                for name, value in stored.items()
            }
    return {**live, "spec": {**spec, **({"resources": resources} if resources else {})}}


def _same(one: t.Any, other: t.Any) -> bool:
    return quantity(one) is not None and quantity(one) == quantity(other)
