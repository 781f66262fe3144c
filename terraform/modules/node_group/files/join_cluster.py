"""Makes this machine a node of its cluster: what a machine of an elastic group runs at its first boot.

It needs nothing but Python 3.9 and systemd, which every image with cloud-init has; the AWS CLI is not on Debian's. It
asks the metadata service who it is, SSM for the sha256 of its group's bundle and for the join token, S3 for the bundle,
puts these in place and starts the agent. All of it is asked for again until it is there, up to a limit; nothing is put
in place before everything has come and the checksum is right. At the limit one line on the console and in the journal
says what is missing, and the machine powers off, so that its scaling group tries with another one (JOIN_ON_FAILURE=stay
keeps it, to look at it).

Bundle: s3://BUCKET/bundles/GROUP/SHA256.tar.gz, files and symbolic links below PLACES.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import hmac
import http.client
import json
import os
import random
import re
import shutil
import subprocess
import sys
import syslog
import tarfile
import time
import urllib.error
import urllib.request

# Tests name other places.
CONFIGURATION = os.environ.get("JOIN_CONFIGURATION", "/etc/wasmfaas/join.json")
METADATA_URL = os.environ.get("JOIN_METADATA_URL", "http://169.254.169.254")
KUBELET_URL = os.environ.get("JOIN_KUBELET_URL", "http://127.0.0.1:10248/healthz")
ROOT = os.environ.get("JOIN_ROOT", "/")
SERVICE = "k3s-agent.service"
PLACES = ("usr/local/", "etc/", "opt/", "var/lib/rancher/")
UNSET = "unset"  # what Terraform puts into the parameters
ANSWER_SECONDS = 10
DOWNLOAD_SECONDS = 120  # a connection slower than that is worth another try
START_SECONDS = 180
# Without a proxy: these addresses mean another machine to every other one.
DIRECTLY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class NotYet(Exception):
    """What is missing; it may come."""


class Refused(Exception):
    """What is wrong for good."""


def main() -> int:
    with open(CONFIGURATION, encoding="utf-8") as file:
        configuration = json.load(file)
    started = time.monotonic()
    deadline = started + configuration["seconds"]
    try:
        until(deadline, lambda: join(configuration, deadline))
    except Exception as error:  # also what nobody thought of: a machine that just sits there costs money
        why = error if isinstance(error, (NotYet, Refused)) else repr(error)
        say(
            f"This machine did not join {configuration['cluster']} as {configuration['group']} within "
            f"{configuration['seconds']} s: {why}",
            console=True,
        )
        if os.environ.get("JOIN_ON_FAILURE", "replace") == "replace":
            subprocess.run(["systemctl", "poweroff"], check=False)
        return 1
    say(f"Joined {configuration['cluster']} as {configuration['group']} after {time.monotonic() - started:.1f} s.")
    return 0


def join(configuration: dict, deadline: float) -> None:
    me = identity()
    digest = parameter(me, configuration["bundle_parameter"])
    if not re.fullmatch("[0-9a-f]{64}", digest):
        raise Refused(f"{configuration['bundle_parameter']} holds no sha256. Run site.yml again.")
    token = parameter(me, configuration["token_parameter"])
    bundle = os.path.join(ROOT, "var/lib/wasmfaas/bundle.tar.gz")
    try:
        fetch(
            me, configuration["bucket"], f"bundles/{configuration['group']}/{digest}.tar.gz", digest, bundle, deadline
        )
        unpack(bundle)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.remove(bundle)
    token_file = os.path.join(ROOT, "etc/rancher/k3s/agent-token")
    write(token_file, f"{token}\n", 0o600)
    # JSON is YAML; "+" adds to the lists of the bundle's config.yaml.
    write(
        os.path.join(ROOT, "etc/rancher/k3s/config.yaml.d/90-machine.yaml"),
        json.dumps(node_settings(configuration, me), indent=2) + "\n",
        0o600,
    )
    start(token_file, deadline)


def node_settings(configuration: dict, me: dict) -> dict:
    """What k3s is told of this one machine. The node's name is the instance's id: unique for ever, and the cloud
    controller finds it by that."""
    labels = {
        **configuration["labels"],
        "wasmfaas.dev/join": "self",  # site.yml does not take it for a node that was forgotten
        "topology.kubernetes.io/region": me["region"],
        "topology.kubernetes.io/zone": me["zone"],
        "node.kubernetes.io/instance-type": me["type"],
    }
    return {
        "server": configuration["server"],
        "token-file": "/etc/rancher/k3s/agent-token",
        "node-name": me["id"],
        "node-ip": me["address"],
        "kubelet-arg+": ["cloud-provider=external", f"provider-id=aws:///{me['zone']}/{me['id']}"],
        "node-label+": [f"{key}={value}" for key, value in sorted(labels.items())],
        "node-taint+": configuration["taints"],
    }


def start(token_file: str, deadline: float) -> None:
    try:
        for command in (
            ["daemon-reload"],
            ["restart", "systemd-modules-load.service", "systemd-sysctl.service"],
            ["enable", "--now", SERVICE],
        ):
            done = subprocess.run(["systemctl", *command], capture_output=True, text=True, check=False)
            # The second: settings of the bundle that this kernel lacks are k3s's to judge.
            if done.returncode and command[0] != "restart":
                raise NotYet(
                    f"`systemctl {' '.join(command)}` failed: {done.stderr.strip()} See `journalctl -u {SERVICE}` on "
                    "the machine."
                )
        await_kubelet(min(deadline, time.monotonic() + START_SECONDS))
    except BaseException:
        subprocess.run(["systemctl", "disable", "--now", SERVICE], capture_output=True, check=False)
        with contextlib.suppress(FileNotFoundError):
            os.remove(token_file)
        raise


def await_kubelet(deadline: float) -> None:
    """k3s itself tries for ever, also with a token that the cluster refuses."""
    while True:
        try:
            ask(KUBELET_URL, opener=DIRECTLY)
            return
        except NotYet:
            if time.monotonic() > deadline:
                raise NotYet(
                    f"k3s runs, but the cluster has not let it in. See `journalctl -u {SERVICE}` on the machine."
                ) from None
        time.sleep(0.2)


# --- Who am I


def identity() -> dict:
    """id, type, zone, region, address, and the credentials of the role: access_key, secret_key, session_token."""
    token = ask(
        f"{METADATA_URL}/latest/api/token",
        opener=DIRECTLY,
        method="PUT",
        headers={"X-aws-ec2-metadata-token-ttl-seconds": "300"},
    ).decode()

    def metadata(path: str) -> str:
        return (
            ask(f"{METADATA_URL}/latest/meta-data/{path}", opener=DIRECTLY, headers={"X-aws-ec2-metadata-token": token})
            .decode()
            .strip()
        )

    role = metadata("iam/security-credentials/").splitlines()[0]
    credentials = json.loads(metadata(f"iam/security-credentials/{role}"))
    return {
        "id": metadata("instance-id"),
        "type": metadata("instance-type"),
        "zone": metadata("placement/availability-zone"),
        "region": metadata("placement/region"),
        "address": metadata("local-ipv4"),
        "access_key": credentials["AccessKeyId"],
        "secret_key": credentials["SecretAccessKey"],
        "session_token": credentials["Token"],
    }


# --- What do I need


def parameter(me: dict, name: str) -> str:
    url = os.environ.get("JOIN_SSM_URL", f"https://ssm.{me['region']}.amazonaws.com") + "/"
    body = json.dumps({"Name": name, "WithDecryption": True}).encode()
    headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "AmazonSSM.GetParameter"}
    value = json.loads(ask(url, method="POST", body=body, headers=signed(me, "ssm", "POST", url, headers, body)))[
        "Parameter"
    ]["Value"].strip()
    if value in ("", UNSET):
        raise NotYet(f"The parameter {name} has no value yet. site.yml writes it.")
    return value


def fetch(me: dict, bucket: str, key: str, digest: str, path: str, deadline: float) -> None:
    address = os.environ.get("JOIN_S3_URL")
    url = f"{address}/{bucket}/{key}" if address else f"https://{bucket}.s3.{me['region']}.amazonaws.com/{key}"
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    ask(url, headers=signed(me, "s3", "GET", url, {}, b""), path=path, deadline=deadline)
    found = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            found.update(block)
    if found.hexdigest() != digest:
        raise NotYet(
            f"s3://{bucket}/{key} has the sha256 {found.hexdigest()}. Run site.yml again, which publishes it anew."
        )


def unpack(bundle: str) -> None:
    """All names are looked at before any file is put in place. The checksum says who made the bundle, so this only
    guards against mistakes."""
    try:
        with tarfile.open(bundle, "r:gz") as archive:
            members = [member for member in archive.getmembers() if not member.isdir()]
            for member in members:
                if (
                    not member.name.startswith(PLACES)
                    or ".." in member.name.split("/")
                    or not (member.isfile() or member.issym())
                ):
                    raise Refused(
                        f"The bundle holds {member.name}, which is no file or link below {', '.join(PLACES)}."
                    )
            for member in members:
                path = os.path.join(ROOT, member.name)
                os.makedirs(os.path.dirname(path), exist_ok=True)
                temporary = f"{path}.new"
                with contextlib.suppress(FileNotFoundError):
                    os.remove(temporary)
                if member.issym():
                    os.symlink(member.linkname, temporary)
                else:
                    with (
                        archive.extractfile(member) as content,
                        os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file,
                    ):
                        shutil.copyfileobj(content, file, 1 << 20)
                    os.chmod(temporary, member.mode & 0o755)
                os.replace(temporary, path)
    except (tarfile.TarError, EOFError, OSError) as error:
        raise Refused(f"The bundle can't be unpacked: {error}") from error


def write(path: str, text: str, mode: int) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    temporary = f"{path}.new"
    with contextlib.suppress(FileNotFoundError):
        os.remove(temporary)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(temporary, path)


# --- How do I ask


def ask(
    url: str,
    *,
    method: str = "GET",
    headers: dict | None = None,
    body: bytes | None = None,
    path: str = "",
    deadline: float = 0,
    opener: urllib.request.OpenerDirector | None = None,
) -> bytes:
    """The answer's body, or nothing if it goes into a file. Errors: NotYet, without the headers, which hold secrets."""
    request = urllib.request.Request(url, data=body, headers=headers or {}, method=method)  # noqa: S310 - ours
    try:
        with (opener or urllib.request.build_opener()).open(request, timeout=ANSWER_SECONDS) as answer:
            if not path:
                return answer.read()
            began = time.monotonic()
            limit = max(min(deadline, began + DOWNLOAD_SECONDS), began + ANSWER_SECONDS)
            with open(path, "wb") as file:
                while block := answer.read1(1 << 20):
                    file.write(block)
                    if time.monotonic() > limit:
                        raise NotYet(
                            f"{method} {url} is too slow: {file.tell()} bytes in {time.monotonic() - began:.0f} s"
                        )
                if file.tell() < int(answer.headers.get("Content-Length", 0)):
                    raise NotYet(f"{method} {url} was cut off after {file.tell()} bytes")
            return b""
    except urllib.error.HTTPError as error:
        with error:
            text = error.read(500).decode(errors="replace")
        raise NotYet(f"{method} {url} gives {error.code}: {' '.join(text.split())}") from error
    except (
        OSError,
        ValueError,
        http.client.HTTPException,
    ) as error:  # no connection, time-out, cut off; an answer that is no HTTP
        raise NotYet(f"{method} {url}: {error}") from error


def signed(me: dict, service: str, method: str, url: str, headers: dict, body: bytes) -> dict:
    """The headers with AWS's signature, version 4:
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html"""
    parts = urllib.request.urlparse(url)
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")  # noqa: UP017 - Python 3.9
    hashed = hashlib.sha256(body).hexdigest()
    headers = {
        **headers,
        "Host": parts.netloc,
        "X-Amz-Content-Sha256": hashed,
        "X-Amz-Date": now,
        "X-Amz-Security-Token": me["session_token"],
    }
    lines = sorted((name.lower(), value) for name, value in headers.items())
    names = ";".join(name for name, _value in lines)
    canonical = "\n".join([method, parts.path, "", *(f"{name}:{value}" for name, value in lines), "", names, hashed])
    scope = f"{now[:8]}/{me['region']}/{service}/aws4_request"
    key = f"AWS4{me['secret_key']}".encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    text = "\n".join(["AWS4-HMAC-SHA256", now, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    return {
        **headers,
        "Authorization": f"AWS4-HMAC-SHA256 Credential={me['access_key']}/{scope}, SignedHeaders={names}, "
        f"Signature={signature}",
    }


def until(deadline: float, attempt) -> None:
    """Once more after 1, 2, 4, 8, then every 15 s or so, until it works or the time (of time.monotonic) is over."""
    pause = 1.0
    while True:
        try:
            return attempt()
        except NotYet as error:
            if time.monotonic() + pause > deadline:
                raise
            say(f"Not yet: {error}")
        except (KeyError, IndexError, json.JSONDecodeError) as error:
            raise Refused(f"AWS gave an answer that this program does not understand: {error!r}") from error
        time.sleep(pause * random.uniform(0.8, 1.2))  # noqa: S311
        pause = min(pause * 2, 15.0)


def say(text: str, *, console: bool = False) -> None:
    """To the journal and to standard error, which cloud-init writes to its log."""
    print(f"join-cluster: {text}", file=sys.stderr, flush=True)
    syslog.openlog("join-cluster")
    syslog.syslog(syslog.LOG_ERR if console else syslog.LOG_INFO, text)
    if console:
        with contextlib.suppress(OSError), open("/dev/console", "w", encoding="utf-8") as file:
            file.write(f"join-cluster: {text}\n")


if __name__ == "__main__":
    sys.exit(main())
