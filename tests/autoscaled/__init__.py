# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cluster on test hosts, and a machine that joins it without Ansible, as on EC2.

Real: the host with its systemd, the user data, join_cluster.py, site.yml. Stand-ins: the metadata service, cloud-init,
what spoils connections (here); S3 and SSM (the moto server); k3s, unless K3S_BINARY names one (tests/k3s_double).
"""

from .user_data import Configuration, render
from .world import Fault, World

__all__ = ["Configuration", "Fault", "World", "render"]
