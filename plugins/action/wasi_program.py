# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Does the work of the module wasi_program in Ansible's own process where it can; see the module."""

from __future__ import annotations

from ..module_utils.program.wasi_program import run
from ..modules.wasi_program import RULES, argument_spec
from ..plugin_utils.in_process import InProcessAction


class ActionModule(InProcessAction):
    """See the module wasi_program."""

    work = staticmethod(run)
    argument_spec = staticmethod(argument_spec)
    rules = RULES
