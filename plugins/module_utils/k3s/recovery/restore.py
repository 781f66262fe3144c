# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Making one server the only member of etcd, with a snapshot or with its own data: what is done on each host, in steps
that a run which was cut off can take up again.

The order is that of k3s's docs (cli/etcd-snapshot.md, datastore/backup-restore.md): stop all servers; on one of them
let k3s replace its database by the snapshot, or keep it, and make itself the only member; take away the old database of
the others, so that they join as new members.

Each host remembers in a file what was done for which snapshot, until the whole restore is finished. So a run that
continues does not replace a database again that the restored cluster has already written to, and a later restore of the
same snapshot starts from the beginning.
"""

from __future__ import annotations

import contextlib
import fcntl
import glob
import json
import os
import shutil
import subprocess
import tempfile
import time
import typing as t

from ...errors import PlatformError
from ...host import whole_file
from ...host.commands import TIMED_OUT, Completed, run_command
from ...host.digests import sha256
from ...host.waiting import wait_for
from ...kubernetes.kubectl import Kubectl, host_kubectl
from .. import paths
from ..host import inputs
from ..nodes import node_state
from .k3s_command import last_line, tail
from .snapshot import authority_digest

DATABASE = f"{paths.SERVER_DIRECTORY}/db"
BEFORE = f"{paths.SERVER_DIRECTORY}/db.before-restore"
BEFORE_OF_OTHER_CLUSTER = f"{paths.SERVER_DIRECTORY}/of-another-cluster"
RESET_FLAG = f"{DATABASE}/reset-flag"
MEMORY = f"{paths.SERVER_DIRECTORY}/wasmfaas-restore.json"
AGENT_MEMORY = f"{paths.AGENT_DIRECTORY}/wasmfaas-restore.json"
UPLOADS = f"{paths.SERVER_DIRECTORY}/wasmfaas-restore"
LOCK = f"{paths.RUN_DIRECTORY}/restore.lock"
RESET = ("reset", "admitted")
"""What is remembered of the first server: its database was replaced; the other nodes were let in again."""

DONE_MESSAGE = "Managed etcd cluster membership has been reset"

OF_THE_CLUSTER = ("tls", "cred", "token", "agent-token", "node-token")
"""In the server's directory, besides the database: what belongs to one cluster."""

OF_THE_CLUSTER_ON_NODES = ("*.crt", "*.key", "*.kubeconfig", "etc/*load-balancer*.json")
"""In the agent's directory; k3s gets all of it anew from a server with the node's token."""

Inactive = t.Callable[[str], bool]
"""Whether a unit is stopped."""

Reset = t.Callable[[t.Sequence[str], float], Completed]


def remembered(path: str = "") -> dict[str, str]:
    """`{identity, done}` of the restore that this host is in the middle of; empty where there is none. `path`: MEMORY
    where empty."""
    try:
        with open(path or MEMORY, encoding="utf-8") as file:
            read = json.load(file)
    except (OSError, ValueError):
        return {}
    return read if isinstance(read, dict) else {}


def remember(identity: str, done: str, path: str = "") -> None:
    """Write it so that it is whole even after a power cut."""
    path = path or MEMORY
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    whole_file.write(path, json.dumps({"identity": identity, "done": done}), durable=True)


def inactive(unit: str) -> bool:
    # Stopping and failed units count as stopped only when no process of theirs is left: `systemctl is-active` says so.
    return run_command(["systemctl", "is-active", f"{unit}.service"], seconds=30).output.strip() in (
        "inactive",
        "failed",
        "unknown",
    )


def reset(
    identity: str,
    snapshot: str,
    *,
    expected_sha256: str = "",
    authority: str = "",
    local_although_bucket: bool = False,
    seconds: float,
    run: Reset | None = None,
    is_inactive: Inactive = inactive,
    check_mode: bool = False,
) -> bool:
    """Let k3s on this host replace its database by a snapshot, or keep it, and make itself the only member; gives
    whether it did, and not an earlier run.

    Args:
        identity: of the snapshot; what a run that continues compares.
        snapshot: its path on this host, or its name in the bucket that config.yaml names; the database stays as it is
            where empty.
        expected_sha256: of the file; not compared where empty.
        authority: SHA-256 of the certificate authority of the cluster that the snapshot is of; what this host has of
            another cluster is put aside.
        local_although_bucket: config.yaml names a bucket, but `snapshot` is a file.
        seconds: how long it may take.

    Raises:
        PlatformError: the file is damaged, the server runs, or k3s could not.
    """
    before = remembered()
    if before.get("identity") == identity and before.get("done") in RESET:
        return False
    if not is_inactive(paths.SERVER_UNIT):
        if check_mode:
            return True
        raise PlatformError(
            "k3s runs on this host; a running server cannot be reset.",
            next_step=f"Run {playbook(snapshot)} again: its first step stops all servers.",
        )
    if os.path.isabs(snapshot) and expected_sha256 and not check_mode:
        compare(snapshot, expected_sha256)
    if check_mode:
        return True
    put_aside_another_cluster(authority)
    forget_servers()
    # k3s leaves this flag after a reset and refuses another one until it is gone (k3s docs, cli/etcd-snapshot.md). It
    # can only be of a run that was cut off between the reset and the note of it, since a server that started in between
    # has removed it.
    with contextlib.suppress(FileNotFoundError):
        os.unlink(RESET_FLAG)
    arguments = [paths.K3S_BINARY, "server", "--cluster-reset"]
    arguments += [f"--cluster-reset-restore-path={snapshot}"] if snapshot else []
    completed = (run or run_alone)([*arguments, *(["--etcd-s3=false"] if local_although_bucket else [])], seconds)
    if completed.exit_code != 0 or DONE_MESSAGE not in f"{completed.output}{completed.error}":
        what = f"restore {snapshot}" if snapshot else "make this server the only member of etcd"
        raise PlatformError(
            f"k3s did not {what}: {last_line(completed)}",
            next_step=what_to_do(completed, snapshot),
            facts={"output": tail(completed), "exit_code": completed.exit_code},
        )
    remember(identity, "reset")
    return True


def clear(identity: str, *, authority: str = "", is_inactive: Inactive = inactive, check_mode: bool = False) -> bool:
    """Take away this server's database, so that it joins the restored cluster as a new member; gives whether there was
    one to take away.

    The tokens and the encryption key go with it: k3s refuses to join where they are newer than those of the snapshot,
    and brings the latter with the join (k3s v1.36.3: pkg/cluster/bootstrap.go, ReconcileBootstrapData). All is renamed,
    not deleted: `finish` deletes it. Arguments and errors as of `reset`.
    """
    before = remembered()
    if before.get("identity") == identity and before.get("done") == "cleared":
        return False
    if not os.path.isdir(DATABASE) and not before:
        return False
    if check_mode:
        return True
    if not is_inactive(paths.SERVER_UNIT):
        raise PlatformError(
            "k3s runs on this host; the database of a running server cannot be taken away.",
            next_step="Run the same playbook again: its first step stops all servers.",
        )
    put_aside_another_cluster(authority)
    if os.path.isdir(DATABASE):
        shutil.rmtree(BEFORE, ignore_errors=True)
        for path in glob.glob(f"{paths.SERVER_DIRECTORY}/cred/passwd") + glob.glob(
            f"{paths.SERVER_DIRECTORY}/cred/encryption-*.json"
        ):
            os.rename(path, f"{DATABASE}/{os.path.basename(path)}")
        os.rename(DATABASE, BEFORE)
    remember(identity, "cleared")
    return True


def admit(identity: str, keep: t.Sequence[str], *, this_node: str, kubectl: Kubectl, check_mode: bool = False) -> bool:
    """On the restored server, once its API answers: let the nodes in that exist, and forget those that do not; gives
    whether it did, and not an earlier run.

    The snapshot knows nodes that are gone, passwords of hosts that were replaced since, and etcd members that are none
    any more.

    Args:
        keep: names of the nodes that hosts still have.
        this_node: the restored server's.

    Raises:
        PlatformError: the API refused something.
    """
    before = remembered()
    if before.get("identity") == identity and before.get("done") == "admitted":
        return False
    if check_mode:
        return True
    for node in kubectl.get(node_state.NODES).get("items") or []:
        name = node_state.name_of(node)
        if name not in keep:
            kubectl.delete(f"{node_state.NODES}/{name}")
        elif name != this_node and node_state.is_voter(node):
            # Its member is gone; k3s says anew when the next one votes. Until then nobody may count on it.
            stale = {
                "type": node_state.VOTER,
                "status": "False",
                "reason": "ClusterRestored",
                "message": "the cluster was restored without this member",
            }
            patch = json.dumps({"status": {"conditions": [stale]}})
            kubectl.call(
                ["patch", "node", name, "--subresource=status", "--type=strategic", f"--patch={patch}"],
                what=f"change the status of {name}",
            )
        if name != this_node:
            # k3s checks a node's password against this secret, and makes it where it is missing (k3s docs,
            # architecture.md).
            kubectl.delete(f"/api/v1/namespaces/kube-system/secrets/{name}.node-password.k3s")
    remember(identity, "admitted")
    return True


def forget(identity: str, authority: str, *, check_mode: bool = False) -> bool:
    """Take away what this node's agent has of another cluster: it gets certificates of the restored one at its next
    start. Gives whether there was something.

    The agent may run; it has read all of it.
    """
    before = remembered(AGENT_MEMORY)
    if before.get("identity") == identity:
        return False
    own = authority_digest(f"{paths.AGENT_DIRECTORY}/server-ca.crt")
    if not authority or not own or own == authority:
        return False
    if not check_mode:
        for pattern in OF_THE_CLUSTER_ON_NODES:
            for path in glob.glob(f"{paths.AGENT_DIRECTORY}/{pattern}"):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)
        inputs.forget(paths.AGENT_UNIT)  # the agent counts as running with something older
        remember(identity, "forgot", AGENT_MEMORY)
    return True


def finish(*, check_mode: bool = False) -> bool:
    """Remove what the restore left for its own sake; gives whether there was something."""
    left = [path for path in (MEMORY, AGENT_MEMORY, BEFORE, UPLOADS) if os.path.lexists(path)]
    if left and not check_mode:
        for path in (BEFORE, UPLOADS):
            shutil.rmtree(path, ignore_errors=True)
        # Last: until then a run that is cut off here knows that it is in the middle
        for path in (AGENT_MEMORY, MEMORY):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
    return bool(left)


def compare(path: str, expected_sha256: str) -> None:
    """Raises PlatformError where the file is not the expected one."""
    try:
        digest = sha256(path)
    except OSError as error:
        raise PlatformError(
            f"{path} cannot be read on this host: {error.strerror}.",
            next_step="Run ansible-playbook wasmfaas.platform.restore again: it transfers the snapshot.",
        ) from error
    if digest != expected_sha256:
        raise PlatformError(
            f"{path} on this host is not the snapshot: its sha256 is {digest}, it must be {expected_sha256}.",
            next_step="Run ansible-playbook wasmfaas.platform.restore again: it transfers the snapshot anew. If it "
            "happens again, look at the disk of that host.",
        )


def put_aside_another_cluster(authority: str) -> None:
    """Certificates and credentials of another cluster: k3s refuses to replace some of them by those of the snapshot."""
    if not authority or authority_digest() in ("", authority):
        return
    # `tls` goes last, since it is what tells that the rest is of another cluster: without it, what lies there is the
    # beginning of this very work.
    if os.path.exists(f"{BEFORE_OF_OTHER_CLUSTER}/tls"):
        shutil.rmtree(BEFORE_OF_OTHER_CLUSTER)
    os.makedirs(BEFORE_OF_OTHER_CLUSTER, mode=0o700, exist_ok=True)
    for name in sorted(OF_THE_CLUSTER, key=lambda name: name == "tls"):
        with contextlib.suppress(FileNotFoundError):
            os.rename(f"{paths.SERVER_DIRECTORY}/{name}", f"{BEFORE_OF_OTHER_CLUSTER}/{name}")


def forget_servers() -> None:
    """k3s refuses a reset while its settings name a server to join (k3s, pkg/cli/server/server.go). The next run of
    wasmfaas.platform.site writes one again."""
    content = json.dumps({"token-file": paths.TOKEN}) + "\n"  # JSON is YAML
    os.makedirs(os.path.dirname(paths.JOIN_CONFIG), mode=0o700, exist_ok=True)
    whole_file.write(paths.JOIN_CONFIG, content)


def run_alone(arguments: t.Sequence[str], seconds: float, *, lock: str = LOCK) -> Completed:
    """Run a program that must not run twice at once, even where the run that started it first was cut off.

    The program inherits a lock and keeps it as long as it lives. Its output goes to a file, so that it does not die
    with whoever reads it.
    """
    end = time.monotonic() + seconds
    os.makedirs(os.path.dirname(lock), mode=0o700, exist_ok=True)
    with (
        open(os.open(lock, os.O_RDWR | os.O_CREAT, 0o600), "w", encoding="utf-8") as held,
        tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output,
    ):

        def locked() -> bool:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            return False

        if not wait_for(locked, seconds=seconds):
            return Completed(TIMED_OUT, "", f"An earlier {arguments[0]} that was cut off still runs on this host.")
        environment = {name: value for name, value in os.environ.items() if name != "NOTIFY_SOCKET"}
        process = subprocess.Popen(
            list(arguments),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=[held.fileno()],
            start_new_session=True,
            env=environment,
        )
        try:
            exit_code = process.wait(max(1.0, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            exit_code = TIMED_OUT
        output.seek(0)
        return Completed(exit_code, output.read(), "")


def playbook(snapshot: str) -> str:
    """The playbook that resets a server to a snapshot, or to its own data where empty."""
    restore, recover = "ansible-playbook wasmfaas.platform.restore", "ansible-playbook wasmfaas.platform.recover"
    return restore if snapshot else recover


def what_to_do(completed: Completed, snapshot: str) -> str:
    """The next step for a failed reset."""
    said, again = f"{completed.output}{completed.error}".lower(), f"run {playbook(snapshot)} again."
    if completed.exit_code == TIMED_OUT:
        return f"Look at the disk of that host, or give it longer with -e restore_timeout=SECONDS; then {again}"
    if not snapshot:
        return f"See the output of the task; the data is still there. Then {again}"
    if "token" in said or "decrypt" in said or "cipher" in said or "passphrase" in said:
        return f"The token is not that of the time of the snapshot: use the one in the same backup, and {again}"
    if "no space left" in said:
        return (
            "Free space below /var/lib/rancher on that host (server/db/etcd-old-* are databases of earlier "
            f"restores), and {again}"
        )
    if "s3" in said or "bucket" in said:
        return f"Check the etcd-s3-* keys in k3s_server_config, and that the snapshot is in the bucket; then {again}"
    kept = "the databases of the other servers are still there"
    return f"See the output of the task; {kept}. Use another backup, or {again}"


def run(parameters: dict[str, t.Any], check_mode: bool, _hidden: set[str]) -> dict[str, t.Any]:
    """The module `k3s_restore`: its options to its result."""
    step, identity, authority = parameters["step"], parameters["identity"] or "", parameters["authority"] or ""
    if step == "look":
        return {"changed": False, "in_progress": remembered() or remembered(AGENT_MEMORY)}
    if step == "reset":
        changed = reset(
            identity,
            parameters["snapshot"] or "",
            expected_sha256=parameters["sha256"] or "",
            authority=authority,
            local_although_bucket=parameters["ignore_bucket"],
            seconds=parameters["timeout"],
            check_mode=check_mode,
        )
    elif step == "clear":
        changed = clear(identity, authority=authority, check_mode=check_mode)
    elif step == "admit":
        changed = admit(
            identity,
            parameters["nodes"],
            this_node=parameters["this_node"],
            kubectl=host_kubectl(),
            check_mode=check_mode,
        )
    elif step == "forget":
        changed = forget(identity, authority, check_mode=check_mode)
    else:
        changed = finish(check_mode=check_mode)
    return {"changed": changed, "in_progress": remembered() or remembered(AGENT_MEMORY)}
