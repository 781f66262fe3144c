# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Does the work of the module service_images in Ansible's own process where it can; see the module."""

from __future__ import annotations

import typing as t

from ..module_utils.service_images.publish import run
from ..modules.service_images import argument_spec
from ..plugin_utils.in_process import InProcessAction


class ActionModule(InProcessAction):
    """See the module service_images."""

    work = staticmethod(run)
    argument_spec = staticmethod(argument_spec)
    rules: t.ClassVar[dict[str, t.Any]] = {}
