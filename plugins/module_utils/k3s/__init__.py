# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The k3s cluster: what it is to be, what it is, and the steps between. What runs on hosts keeps to the standard
library and Python 3.9."""
