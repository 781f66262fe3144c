"""Makes this machine a node of its cluster. Machines of autoscaled groups run this program at their first boot.

It needs only Python 3.9 and systemd, which every image with cloud-init has; Debian's image has no AWS CLI. It reads the
machine's identity from the metadata service, the sha256 of the group's node bundle and the join token from SSM, and the
node bundle from S3. It then puts the files in place and starts the agent. It tries each step again until it works, up
to a limit, and puts nothing in place before it has everything and the checksum is right. At the limit it writes one
line to the console and the journal that says what is missing, and powers the machine off, so that the scaling group
starts another one (JOIN_ON_FAILURE=stay keeps the machine for debugging).

Node bundle: s3://BUCKET/bundles/GROUP/SHA256.tar.gz, files and symbolic links below PLACES.
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

# Tests set other addresses and paths.
CONFIGURATION = os.environ.get("JOIN_CONFIGURATION", "/etc/wasmfaas/join.json")
METADATA_URL = os.environ.get("JOIN_METADATA_URL", "http://169.254.169.254")
KUBELET_URL = os.environ.get("JOIN_KUBELET_URL", "http://127.0.0.1:10248/healthz")
ROOT = os.environ.get("JOIN_ROOT", "/")
SERVICE = "k3s-agent.service"
PLACES = ("usr/local/", "etc/", "opt/", "var/lib/rancher/")
UNSET = "unset"  # the value that Terraform gives new parameters
ANSWER_SECONDS = 10
DOWNLOAD_SECONDS = 120  # a slower download is tried again
START_SECONDS = 180
# Opens link-local and loopback addresses, which a proxy must not resolve.
DIRECTLY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class NotYet(Exception):
    """Something that is missing and may come later."""


class Refused(Exception):
    """Something that is wrong and stays wrong."""


def main() -> int:
    with open(CONFIGURATION, encoding="utf-8") as file:
        configuration = json.load(file)
    started = time.monotonic()
    deadline = started + configuration["seconds"]
    try:
        until(deadline, lambda: join(configuration, deadline))
    except Exception as error:  # unexpected errors too: a machine that did not join only costs money
        why = error if isinstance(error, (NotYet, Refused)) else repr(error)
        where = f"{configuration['cluster']} as {configuration['group']}"
        say(f"This machine did not join {where} within {configuration['seconds']} s: {why}", console=True)
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
        key = f"bundles/{configuration['group']}/{digest}.tar.gz"
        fetch(me, configuration["bucket"], key, digest, bundle, deadline)
        unpack(bundle)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.remove(bundle)
    token_file = os.path.join(ROOT, "etc/rancher/k3s/agent-token")
    write(token_file, f"{token}\n", 0o600)
    # JSON is YAML; "+" adds to the lists of the node bundle's config.yaml.
    settings = json.dumps(node_settings(configuration, me), indent=2) + "\n"
    write(os.path.join(ROOT, "etc/rancher/k3s/config.yaml.d/90-machine.yaml"), settings, 0o600)
    start(token_file, deadline)


def node_settings(configuration: dict, me: dict) -> dict:
    """Settings of k3s for this machine. The node's name is the instance's id, which is never used again and by which
    the cloud controller finds the node."""
    labels = {
        **configuration["labels"],
        "wasmfaas.dev/join": "self",  # tells site.yml that no host of the inventory belongs to this node
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
            # restart may fail: k3s itself decides whether it needs a setting that this kernel lacks.
            if done.returncode and command[0] != "restart":
                why = f"`systemctl {' '.join(command)}` failed: {done.stderr.strip()}"
                raise NotYet(f"{why} See `journalctl -u {SERVICE}` on the machine.")
        await_kubelet(min(deadline, time.monotonic() + START_SECONDS))
    except BaseException:
        subprocess.run(["systemctl", "disable", "--now", SERVICE], capture_output=True, check=False)
        with contextlib.suppress(FileNotFoundError):
            os.remove(token_file)
        raise


def await_kubelet(deadline: float) -> None:
    """Wait for the kubelet. k3s tries to join forever, even with a token that the cluster refuses."""
    while True:
        try:
            ask(KUBELET_URL, opener=DIRECTLY)
            return
        except NotYet:
            if time.monotonic() > deadline:
                why = f"k3s runs, but the cluster has not let it in. See `journalctl -u {SERVICE}` on the machine."
                raise NotYet(why) from None
        time.sleep(0.2)


# --- Identity


def identity() -> dict:
    """id, type, zone, region, address, and the credentials of the role: access_key, secret_key, session_token."""
    headers = {"X-aws-ec2-metadata-token-ttl-seconds": "300"}
    token = ask(f"{METADATA_URL}/latest/api/token", opener=DIRECTLY, method="PUT", headers=headers)
    headers = {"X-aws-ec2-metadata-token": token.decode()}

    def metadata(path: str) -> str:
        return ask(f"{METADATA_URL}/latest/meta-data/{path}", opener=DIRECTLY, headers=headers).decode().strip()

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


# --- Parameters and node bundle


def parameter(me: dict, name: str) -> str:
    url = os.environ.get("JOIN_SSM_URL", f"https://ssm.{me['region']}.amazonaws.com") + "/"
    body = json.dumps({"Name": name, "WithDecryption": True}).encode()
    headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "AmazonSSM.GetParameter"}
    answer = ask(url, method="POST", body=body, headers=signed(me, "ssm", "POST", url, headers, body))
    value = json.loads(answer)["Parameter"]["Value"].strip()
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
        raise NotYet(f"s3://{bucket}/{key} has the sha256 {found.hexdigest()}. Run site.yml again to publish it again.")


def unpack(bundle: str) -> None:
    """Put the files of the node bundle in place after checking all names. The checksum already shows who made the
    bundle, so the check only guards against mistakes."""
    try:
        with tarfile.open(bundle, "r:gz") as archive:
            members = [member for member in archive.getmembers() if not member.isdir()]
            for member in members:
                inside = member.name.startswith(PLACES) and ".." not in member.name.split("/")
                if not inside or not (member.isfile() or member.issym()):
                    places = ", ".join(PLACES)
                    raise Refused(f"The bundle holds {member.name}, which is no file or link below {places}.")
            for member in members:
                path = os.path.join(ROOT, member.name)
                os.makedirs(os.path.dirname(path), exist_ok=True)
                temporary = f"{path}.new"
                with contextlib.suppress(FileNotFoundError):
                    os.remove(temporary)
                if member.issym():
                    os.symlink(member.linkname, temporary)
                else:
                    new = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                    with os.fdopen(new, "wb") as file, archive.extractfile(member) as content:
                        shutil.copyfileobj(content, file, 1 << 20)
                    os.chmod(temporary, member.mode & 0o755)
                os.replace(temporary, path)
    except (tarfile.TarError, EOFError, OSError) as error:
        raise Refused(f"The bundle cannot be unpacked: {error}") from error


def write(path: str, text: str, mode: int) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    temporary = f"{path}.new"
    with contextlib.suppress(FileNotFoundError):
        os.remove(temporary)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(temporary, path)


# --- HTTP


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
    """The answer's body, or nothing if `path` gets it. Raises NotYet, without the headers, which hold secrets."""
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
                        passed = time.monotonic() - began
                        raise NotYet(f"{method} {url} is too slow: {file.tell()} bytes in {passed:.0f} s")
                if file.tell() < int(answer.headers.get("Content-Length", 0)):
                    raise NotYet(f"{method} {url} was cut off after {file.tell()} bytes")
            return b""
    except urllib.error.HTTPError as error:
        with error:
            text = error.read(500).decode(errors="replace")
        raise NotYet(f"{method} {url} gives {error.code}: {' '.join(text.split())}") from error
    # No connection, a time-out, a cut connection, or an answer that is not HTTP.
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise NotYet(f"{method} {url}: {error}") from error


def signed(me: dict, service: str, method: str, url: str, headers: dict, body: bytes) -> dict:
    """The headers, signed with AWS Signature Version 4:
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
    credential = f"AWS4-HMAC-SHA256 Credential={me['access_key']}/{scope}"
    return {**headers, "Authorization": f"{credential}, SignedHeaders={names}, Signature={signature}"}


def until(deadline: float, attempt) -> None:
    """Try after 0, 1, 2, 4, 8, then about every 15 s until it works or `deadline` (of time.monotonic) has passed."""
    pause = 1.0
    while True:
        try:
            return attempt()
        except NotYet as error:
            if time.monotonic() + pause > deadline:
                raise
            say(f"Not yet: {error}")
        except (KeyError, IndexError, json.JSONDecodeError) as error:
            raise Refused(f"AWS sent an answer that this program does not understand: {error!r}") from error
        time.sleep(pause * random.uniform(0.8, 1.2))  # noqa: S311
        pause = min(pause * 2, 15.0)


def say(text: str, *, console: bool = False) -> None:
    """Write to the journal and to standard error, which cloud-init copies to its log."""
    print(f"join-cluster: {text}", file=sys.stderr, flush=True)
    syslog.openlog("join-cluster")
    syslog.syslog(syslog.LOG_ERR if console else syslog.LOG_INFO, text)
    if console:
        with contextlib.suppress(OSError), open("/dev/console", "w", encoding="utf-8") as file:
            file.write(f"join-cluster: {text}\n")


if __name__ == "__main__":
    sys.exit(main())
