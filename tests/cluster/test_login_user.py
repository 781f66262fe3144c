# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts whose login user has sudo, like machines on AWS. No inventory sets ansible_become, and other tests log in as
root."""

from __future__ import annotations

from .cluster import Cluster

USER = "admin"
MAKE_USER = f"""set -e
id {USER} 2>/dev/null || useradd --create-home --shell /bin/bash {USER}
install -d -m 0700 -o {USER} /home/{USER}/.ssh
install -m 0600 -o {USER} /root/.ssh/authorized_keys /home/{USER}/.ssh/authorized_keys
echo '{USER} ALL=(ALL) NOPASSWD:ALL' >/etc/sudoers.d/{USER}
"""


def test_a_cluster_is_made_and_kept_by_a_user_with_sudo(blank: Cluster) -> None:
    cluster = Cluster(
        blank.environment,
        blank.directory,
        {"k3s_server/control_plane": ["server1"], "k3s_agent/worker_wasm": ["agent1"]},
        blank.variables,
    )
    for name in ("server1", "agent1"):
        cluster.environment.run(name, MAKE_USER)
    cluster.variables["ansible_user"] = USER
    cluster.variables["k3s_backup_directory"] = str(cluster.directory / "backups")
    assert cluster.play("site.yml").succeeded().changed > 0
    assert set(cluster.nodes("server1")) == {"server1", "agent1"}
    cluster.play("site.yml").unchanged()
    cluster.play("wasmfaas.platform.doctor").succeeded()
    # The backup brings files to this machine that only root may read.
    cluster.play("wasmfaas.platform.backup").succeeded()
    assert list(cluster.directory.glob("backups/*/server-token"))
    cluster.play("wasmfaas.platform.rotate", "-e", "what=certificates", "-e", "rotate_minimum_age=0").succeeded()
