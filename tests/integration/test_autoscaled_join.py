# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine of a scaling group joins by itself: site.yml publishes, a host boots with the group's user data, and the
cluster has a node, or nothing of it."""

from __future__ import annotations

import collections.abc
import json
import re
import shutil
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s import paths
from ansible_collections.wasmfaas.platform.tests.autoscaled import Fault, World, render
from ansible_collections.wasmfaas.platform.tests.autoscaled.user_data import Configuration, render_by_terraform
from ansible_collections.wasmfaas.platform.tests.autoscaled.world import (
    BUCKET,
    BUNDLE_PARAMETER,
    GROUP,
    LABELS,
    SERVER,
    TAINTS,
    TOKEN_PARAMETER,
    ZONE,
)
from ansible_collections.wasmfaas.platform.tests.hosts import unavailable

_reason = unavailable()
needs_hosts = pytest.mark.skipif(bool(_reason), reason=_reason or "hosts can be made")
BOOT_SECONDS = 30.0
"""More than a boot takes; not what is promised, which bench/autoscaled_join.py measures."""


@pytest.fixture(scope="module")
def world() -> collections.abc.Iterator[World]:
    with World() as made:
        assert made.site().succeeded().changed > 0
        yield made


@needs_hosts
def test_site_yml_publishes_once(world: World) -> None:
    """The first run was the fixture's."""
    digest = world.parameter(BUNDLE_PARAMETER)
    assert re.fullmatch("[0-9a-f]{64}", digest)
    assert re.fullmatch(r"K10[0-9a-f]{64}::[^:]+:\S+", world.parameter(TOKEN_PARAMETER))
    keys = [entry["Key"] for entry in world.moto.client("s3").list_objects_v2(Bucket=BUCKET)["Contents"]]
    assert keys == [f"bundles/{GROUP}/{digest}.tar.gz"]
    token = world.moto.client("ssm").describe_parameters(
        ParameterFilters=[{"Key": "Name", "Values": [TOKEN_PARAMETER]}]
    )["Parameters"][0]
    assert token["Type"] == "SecureString" and token["KeyId"].startswith("arn:aws:kms:"), (
        "the key that Terraform gave it stays"
    )
    run = world.site("--diff", "-v").unchanged()
    assert world.parameter(TOKEN_PARAMETER).rpartition(":")[2] not in run.output
    assert world.parameter(BUNDLE_PARAMETER) == digest


@needs_hosts
def test_a_change_is_shown_before_it_is_published(world: World) -> None:
    digest = world.parameter(BUNDLE_PARAMETER)
    change = ("-e", json.dumps({"registries_mirrors": {"docker.io": {"endpoint": ["https://mirror.example.com"]}}}))
    run = world.site("--check", "--diff", *change, playbook="wasmfaas.platform.publish_bundles").succeeded()
    assert (
        run.changed == 1
        and f"-{BUNDLE_PARAMETER} = {digest}" in run.output
        and f"+s3://{BUCKET}/bundles/{GROUP}/" in run.output
    )
    assert world.parameter(BUNDLE_PARAMETER) == digest
    refused = world.site("-e", "refresh=worker-wasn", playbook="wasmfaas.platform.publish_bundles")
    assert refused.exit_code != 0 and "There is no autoscaled group worker-wasn" in " ".join(refused.output.split())


@needs_hosts
def test_rotate_yml_publishes_the_new_token(world: World) -> None:
    old, digest = world.parameter(TOKEN_PARAMETER), world.parameter(BUNDLE_PARAMETER)
    now = ("-e", "what=tokens", "-e", "rotate_minimum_age=0")
    run = world.site(*now, "--diff", "-v", playbook="wasmfaas.platform.rotate").succeeded()
    new = world.parameter(TOKEN_PARAMETER)
    assert new != old and new.partition("::")[0] == old.partition("::")[0], "another token for the same cluster"
    assert new.rpartition(":")[2] not in run.output and old.rpartition(":")[2] not in run.output
    assert world.parameter(BUNDLE_PARAMETER) == digest, "the token is not in the bundle"
    world.site("-e", "what=tokens", playbook="wasmfaas.platform.rotate").unchanged()
    # As a run leaves it that was cut off before its end.
    world.moto.client("ssm").put_parameter(Name=TOKEN_PARAMETER, Value=old, Type="SecureString", Overwrite=True)
    assert world.site("-e", "what=tokens", "--check", playbook="wasmfaas.platform.rotate").succeeded().changed == 1
    assert world.parameter(TOKEN_PARAMETER) == old
    assert world.site("-e", "what=tokens", playbook="wasmfaas.platform.rotate").succeeded().changed == 1
    assert world.parameter(TOKEN_PARAMETER) == new
    instance = world.launch()
    world.await_ready(instance)
    world.stop()
    world.forget(instance)


@needs_hosts
def test_joins(world: World) -> None:
    instance = world.launch()
    node = world.await_ready(instance)
    labels, spec = node["metadata"]["labels"], node["spec"]
    expected = LABELS | {
        "topology.kubernetes.io/zone": ZONE,
        "topology.kubernetes.io/region": ZONE[:-1],
        "node.kubernetes.io/instance-type": "t4g.xlarge",
        "wasmfaas.dev/join": "self",
    }
    assert {key: labels.get(key) for key in expected} == expected
    assert "wasmfaas.dev/containerd-shim-spin" in labels, "what the role wasm_shims adds is in the bundle"
    assert spec["providerID"] == f"aws:///{ZONE}/{instance}"
    taints = [{key: taint.get(key, "") for key in ("key", "value", "effect")} for taint in spec["taints"]]
    assert all(taints.count(taint) == 1 for taint in TAINTS)
    # The cloud controller's to take away, which this cluster has none of.
    assert "node.cloudprovider.kubernetes.io/uninitialized" in [taint["key"] for taint in taints]
    world.hosts.console(
        "machine", "for _ in $(seq 100); do test -e /var/lib/cloud/instance/boot-finished && break; sleep 0.1; done"
    )
    assert re.search(rf"^Joined demo as {GROUP} after [0-9.]+ s\.$", world.journal()[-1]), world.journal()

    def shown(command: str) -> str:
        return world.hosts.console("machine", command).stdout.strip()

    assert shown("systemctl is-enabled k3s-agent.service") == "enabled"
    assert (
        shown(
            "stat -c %a /etc/rancher/k3s/agent-token /etc/rancher/k3s/config.yaml "
            "/usr/local/bin/containerd-shim-spin-v2"
        )
        == "600\n600\n755"
    )
    assert shown("cat /proc/sys/vm/overcommit_memory /proc/sys/kernel/panic") == "1\n10", (
        "settings of the bundle are in force"
    )
    assert "max-pods=250" in shown("cat /etc/rancher/k3s/config.yaml")
    # The login to ECR, there and on a host of the inventory, is there when k3s starts for the first time.
    files = (
        f"stat -c %a {paths.CREDENTIAL_PROVIDER_DIRECTORY}/ecr-credential-provider {paths.CREDENTIAL_PROVIDER_CONFIG}"
    )
    assert shown(files) == world.hosts.run(SERVER, files).stdout.strip() == "755\n644"
    found = "journalctl --no-pager -u {} | grep -c 'image credential provider bin dir and configuration file found'"
    assert int(shown(found.format("k3s-agent"))) == 1 <= int(world.hosts.run(SERVER, found.format("k3s")).stdout)
    secret = world.parameter(TOKEN_PARAMETER).rpartition(":")[2]
    assert (
        secret not in world.console()
        and secret not in shown("journalctl --no-pager")
        and "role-secret" not in shown("journalctl --no-pager")
    )
    # The cluster's other playbooks take it for what it is.
    run = world.site("-e", "prune=true").unchanged()
    assert instance not in run.output
    world.stop()
    world.forget(instance)


@needs_hosts
@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (
            "wrong checksum",
            (
                r"s3://demo-bundles/bundles/worker-wasm/[0-9a-f]{64}\.tar\.gz has the sha256 [0-9a-f]{64}\. Run "
                r"site\.yml again"
            ),
        ),
        ("missing token", rf"The parameter {TOKEN_PARAMETER} has no value yet\. site\.yml writes it\."),
        (
            "token of another cluster",
            r"k3s runs, but the cluster has not let it in\. See `journalctl -u k3s-agent\.service`",
        ),
        ("s3 slow", r"GET http://\S+ is too slow: \d+ bytes in \d+ s"),
        ("s3 denied", r"GET http://\S+ gives 403: .*AccessDenied"),
        ("s3 cut off", r"GET http://\S+ was cut off after \d+ bytes"),
    ],
)
def test_does_not_join(world: World, fault: str, reason: str) -> None:
    """Tried again up to the limit; then one line on the console and in the journal, nothing half joined, and off."""
    limit = 14
    ssm, s3 = world.moto.client("ssm"), world.moto.client("s3")
    token, digest = world.parameter(TOKEN_PARAMETER), world.parameter(BUNDLE_PARAMETER)
    key = f"bundles/{GROUP}/{digest}.tar.gz"
    bundle = s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() if fault == "wrong checksum" else b""
    if fault == "wrong checksum":
        s3.put_object(Bucket=BUCKET, Key=key, Body=b"something else")
    elif fault == "missing token":
        ssm.put_parameter(Name=TOKEN_PARAMETER, Value="unset", Type="SecureString", Overwrite=True)
    elif fault == "token of another cluster":
        ssm.put_parameter(
            Name=TOKEN_PARAMETER, Value=f"K10{'0' * 64}::node:another", Type="SecureString", Overwrite=True
        )
    world.s3.fault = {"s3 slow": Fault.SLOW, "s3 denied": Fault.DENIED, "s3 cut off": Fault.CUT}.get(fault, Fault.NONE)
    try:
        instance = world.launch(seconds=limit)
        end = world.await_end()
    finally:
        world.s3.fault = Fault.NONE
        ssm.put_parameter(Name=TOKEN_PARAMETER, Value=token, Type="SecureString", Overwrite=True)
        if bundle:
            s3.put_object(Bucket=BUCKET, Key=key, Body=bundle)
    line = rf"This machine did not join demo as {GROUP} within {limit} s: .*{reason}"
    assert re.fullmatch(line + ".*", end.journal[-1]), end.journal
    assert sum(text.startswith("This machine did not join") for text in end.journal) == 1
    assert re.search(rf"^(\[[^]]*\] )?join-cluster: {line}", end.console.replace("\r", ""), re.MULTILINE), end.console[
        -3000:
    ]
    assert (
        "Traceback" not in end.console
        and token.rpartition(":")[2] not in end.console
        and "role-secret" not in end.console
    )
    if fault not in ("s3 slow", "token of another cluster"):  # where one try lasts as long as the limit
        assert any(text.startswith("Not yet: ") for text in end.journal), end.journal
    assert not end.enabled and not end.token and world.node(instance) is None
    assert end.seconds < limit + BOOT_SECONDS


@needs_hosts
def test_site_yml_puts_a_spoilt_bundle_right(world: World) -> None:
    key = f"bundles/{GROUP}/{world.parameter(BUNDLE_PARAMETER)}.tar.gz"
    world.moto.client("s3").put_object(Bucket=BUCKET, Key=key, Body=b"something else")
    assert world.site(playbook="wasmfaas.platform.publish_bundles").succeeded().changed == 1
    assert world.moto.client("s3").head_object(Bucket=BUCKET, Key=key)["ContentLength"] > 1 << 20
    world.site(playbook="wasmfaas.platform.publish_bundles").unchanged()


def test_user_data_is_terraforms(tmp_path: Path) -> None:
    """What the machines here boot with is, byte by byte, what Terraform's template gives; and it fits into what EC2
    takes."""
    terraform = shutil.which("terraform")
    if not terraform:
        pytest.skip("terraform is not in PATH.")
    labels = LABELS | {"example.com/odd": "a.b-c_d"}
    parameters = (f"/wasmfaas/a<b>&c/groups/{GROUP}/{name}" for name in ("bundle", "token"))
    configuration = Configuration(
        "a<b>&c",
        GROUP,
        BUCKET,
        *parameters,
        "https://api.example.com:6443",
        1800,
        labels,
        ["a=b:NoSchedule", "c=:NoExecute"],
    )
    rendered = render(configuration)
    assert render_by_terraform(configuration, terraform, tmp_path) == rendered
    assert len(rendered.encode()) <= 16384
