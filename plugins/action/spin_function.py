# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Does the work of the module spin_function in Ansible's own process where it can; see the module."""

from __future__ import annotations

from ..module_utils.function.spin_function import run
from ..modules.spin_function import RULES, argument_spec
from ..plugin_utils.in_process import InProcessAction


class ActionModule(InProcessAction):
    """See the module spin_function."""

    work = staticmethod(run)
    argument_spec = staticmethod(argument_spec)
    rules = RULES
