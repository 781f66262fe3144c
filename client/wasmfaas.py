# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command `wasmfaas`: deploys functions with the hosted service, and shows and changes what runs there.

One file without dependencies, for Python 3.9 and later: copy it into a directory of PATH.

Results go to standard output, progress and errors to standard error. Exit codes: 0 ready, unchanged or done; 1 failed;
2 wrong usage; 3 the deployment was cancelled; 4 the service cannot be reached or does not accept the token; 130
interrupted.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import getpass
import gzip
import hashlib
import http.client
import ipaddress
import json
import os
import re
import socket
import ssl
import stat
import subprocess
import sys
import tarfile
import tempfile
import time
import typing as t
import urllib.parse
import urllib.request
from pathlib import Path

try:
    import tomllib
except ImportError:  # before Python 3.11
    tomllib = None  # type: ignore[assignment]  # mypy knows it as a module

VERSION = "1.0.0"

FAILED, USAGE, CANCELLED, NOT_REACHED, INTERRUPTED = 1, 2, 3, 4, 130
"""Exit codes."""

MANIFEST = "spin.toml"
SKIPPED_DIRECTORIES = frozenset({
    ".git", ".hg", ".svn", ".jj",
    ".spin", ".venv", "venv", ".tox", ".nox",
    "node_modules", "bower_components",
    "__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".hypothesis", ".cache", ".gradle",
})  # fmt: skip
"""Directories that are left out unless git tracks what is in them: the list of the collection's source digest
(plugins/module_utils/function/source_digest.py)."""

SKIPPED_FILES = frozenset({".git", ".DS_Store", "spin-dependencies.wit"})
MADE_BY = {"target": "Cargo.toml", "dist": "package.json"}
"""Directories of build output outside of git, each left out where the file lies beside it."""

MADE_BY_TOOLS = ("CACHEDIR.TAG", "pyvenv.cfg")
"""Files that mark a directory as a cache or as a virtual environment of Python."""

_FUNCTION_NAME = re.compile(r"[a-z]([-a-z0-9]{0,50}[a-z0-9])?")
_FINISHED = ("Ready", "Failed", "Cancelled")
_CHUNK_BYTES = 1 << 16
_TIMEOUT_SECONDS = 60.0  # of silence
_ATTEMPTS = 3
_LONGEST_RETRY_AFTER_SECONDS = 60.0
_LOST_SECONDS = 300.0
"""How long a deployment is followed without a connection; it goes on meanwhile."""
_QUEUE_SECONDS, _LOG_SECONDS, _LOST_WAIT_SECONDS = 2, 2.0, 1.0
"""How often the place in the queue, a function's log and a lost connection are looked at."""
_FOLLOWED_LINES = 1000
_NOT_TEXT = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-_])"  # a terminal's commands
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"  # controls, bidirectional ones too
)

Json = dict[str, t.Any]


class Failure(Exception):
    """What went wrong and what to do about it; `exit_code` is the command's, `code` that of the service's problem."""

    def __init__(self, detail: str, next_step: str, exit_code: int = FAILED, code: str = "") -> None:
        super().__init__(detail)
        self.detail, self.next_step, self.exit_code, self.code = detail, next_step, exit_code, code


class Unreachable(Failure):
    """No answer from the service; a later attempt may get one."""

    def __init__(self, detail: str, next_step: str) -> None:
        super().__init__(detail, next_step, NOT_REACHED, "unreachable")


def printable(text: str) -> str:
    """The text without what a terminal would obey: builds and servers may have said it."""
    return _NOT_TEXT.sub("", text).encode("utf-8", "replace").decode("utf-8")


def tell(text: str) -> None:
    """Show a line of progress."""
    print(printable(text), file=sys.stderr, flush=True)


def show(text: str) -> None:
    """Show a line of the result."""
    print(printable(text), flush=True)


class Login(t.NamedTuple):
    """A service and how to speak to it.

    Attributes:
        url: without a slash at its end.
        tenant: the default; empty where the token is for all tenants.
        ca_file: of authorities to trust beside the system's; empty for none.
    """

    url: str
    token: str
    tenant: str = ""
    ca_file: str = ""
    plain_http: bool = False


class Credentials:
    """The file with the logins of this user, mode 0600."""

    def __init__(self) -> None:
        base = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
        self.file = Path(base) / "wasmfaas" / "credentials.json"

    def login(self, url: str) -> Login | None:
        """The login at a service; at the one of the last `login` where `url` is empty. None where there is none."""
        kept = self._read()
        found = kept["services"].get(url or kept["current"])
        return Login(**found) if found else None

    def keep(self, login: Login) -> None:
        """Keep a login and make its service the default."""
        kept = self._read()
        kept["services"][login.url] = login._asdict()
        self._write({"current": login.url, "services": kept["services"]})

    def forget(self, url: str) -> bool:
        """Remove a login, that of the default service where `url` is empty; gives whether there was one."""
        kept = self._read()
        url = url or kept["current"]
        there = kept["services"].pop(url, None) is not None
        if there:
            self._write({"current": "" if kept["current"] == url else kept["current"], "services": kept["services"]})
        return there

    def _read(self) -> Json:
        try:
            with open(self.file, encoding="utf-8") as stream:
                if os.name == "posix" and os.fstat(stream.fileno()).st_mode & 0o077:
                    raise Failure(
                        f"Other users may read the tokens in {self.file}.", f"Run `chmod 600 {self.file}`.", USAGE
                    )
                kept: Json = json.load(stream)
                return {"current": str(kept["current"]), "services": dict(kept["services"])}
        except FileNotFoundError:
            return {"current": "", "services": {}}
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise Failure(f"{self.file} cannot be read: {error}.", "Delete it and log in again.", USAGE) from error

    def _write(self, kept: Json) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor, temporary = tempfile.mkstemp(dir=self.file.parent, prefix=".credentials.")  # mode 0600
        with open(descriptor, "w", encoding="utf-8") as stream:
            json.dump(kept, stream, indent=2)
        os.replace(temporary, self.file)


def checked_url(url: str, *, plain_http: bool) -> str:
    """The URL of a service without a slash at its end; raises Failure where a token must not go there."""
    url = url.rstrip("/")
    try:
        parts = urllib.parse.urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or parts.scheme not in ("http", "https") or parts.username or parts.query or parts.fragment:
        raise Failure(f"{url!r} is no URL of a service.", "Write it as in https://api.example.com.", USAGE)
    if parts.scheme == "http" and not plain_http and not is_loopback(host):
        raise Failure(
            f"{url} is not encrypted: everybody between here and {host} could read the token.",
            "Use the https:// URL. In a network that you trust, add --plain-http.",
            USAGE,
        )
    return url


def is_loopback(host: str) -> bool:
    """Whether a host of a URL is this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def checked_token(text: str) -> str:
    """The characters of a token without white space around them; raises Failure."""
    token = text.strip()
    if not re.fullmatch(r"[!-~]+", token):
        raise Failure("That is no token.", "Give the one line that you got from whoever runs the service.", USAGE)
    return token


class Upload:
    """A file that is sent; tells on a terminal how far it is."""

    def __init__(self, file: t.BinaryIO) -> None:
        self._file = file
        self.size = file.seek(0, os.SEEK_END)

    def __iter__(self) -> t.Iterator[bytes]:
        self._file.seek(0)
        sent, told = 0, time.monotonic()
        is_shown = False
        while data := self._file.read(_CHUNK_BYTES):
            yield data
            sent += len(data)
            if sys.stderr.isatty() and (time.monotonic() - told > 0.2 or (is_shown and sent == self.size)):
                told, is_shown = time.monotonic(), True
                print(f"\r{sent / 1e6:.1f} of {self.size / 1e6:.1f} MB sent", end="", file=sys.stderr, flush=True)
        if is_shown:
            print(file=sys.stderr)


class Service:
    """Requests to the API of the service. It follows no redirects: a token goes to nobody that the user did not name.

    All methods raise Failure: what the service answers about an error, or Unreachable.
    """

    def __init__(self, login: Login) -> None:
        self._login = login
        parts = urllib.parse.urlsplit(login.url)
        self._host, self._is_tls, self._prefix = str(parts.hostname), parts.scheme == "https", parts.path
        self._port = parts.port or (443 if self._is_tls else 80)
        self._context = _tls_context(login.ca_file) if self._is_tls else None

    def json(
        self, method: str, path: str, content: Json | None = None, *, query: Json | None = None, again: bool = False
    ) -> Json:
        """What the service answers, as JSON; empty where it answers nothing.

        Args:
            again: whether a POST or DELETE may be sent a second time after its connection was lost.
        """
        body = None if content is None else json.dumps(content).encode()
        with self.answer(method, path, body, query=query, again=again) as response:
            text = _read(response, self._login.url)
        try:
            answer = json.loads(text or b"{}")
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise Failure(
                f"{self._login.url} does not answer as the service does.", "Check the URL of the service.", NOT_REACHED
            )
        return answer

    def text(self, path: str, *, query: Json | None = None) -> str:
        """What the service answers to GET, as text."""
        with self.answer("GET", path, query=query) as response:
            return _read(response, self._login.url).decode("utf-8", "replace")

    def exists(self, path: str) -> bool:
        """Whether HEAD finds something."""
        try:
            with self.answer("HEAD", path):
                return True
        except Failure as failure:
            if failure.code == "not_found":
                return False
            raise

    def lines(self, path: str, *, query: Json) -> t.Iterator[Json | None]:
        """The lines of an answer as JSON while they arrive, and None at its end; without the None, the connection was
        lost before."""
        with self.answer("GET", path, query=query, accept="application/x-ndjson") as response:
            while True:
                try:
                    line = response.readline()
                    value = json.loads(line) if line else None
                except (OSError, ValueError, http.client.HTTPException):
                    return
                yield value
                if value is None:
                    return

    @contextlib.contextmanager
    def answer(
        self,
        method: str,
        path: str,
        body: bytes | Upload | None = None,
        *,
        query: Json | None = None,
        accept: str = "application/json",
        again: bool = False,
    ) -> t.Iterator[http.client.HTTPResponse]:
        """The answer to a request, if it is one of success."""
        target = f"{self._prefix}{path}" + (f"?{urllib.parse.urlencode(query)}" if query else "")
        headers = {
            "Authorization": f"Bearer {self._login.token}",
            "Accept": accept,
            "User-Agent": f"wasmfaas/{VERSION}",
        }
        if body is not None:
            headers["Content-Type"] = "application/json" if isinstance(body, bytes) else "application/octet-stream"
            headers["Content-Length"] = str(len(body) if isinstance(body, bytes) else body.size)
        response, connection = self._answered(
            method, target, body, headers, may_repeat=again or method in ("GET", "HEAD", "PUT")
        )
        with contextlib.closing(connection):
            yield response

    def _answered(
        self, method: str, target: str, body: bytes | Upload | None, headers: dict[str, str], *, may_repeat: bool
    ) -> tuple[http.client.HTTPResponse, http.client.HTTPConnection]:
        attempt = 0
        while True:
            attempt += 1
            connection = self._connection()
            try:
                response = self._send(connection, method, target, body, headers)
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                # Nobody there, or not to be trusted: asking again changes nothing.
                is_final = isinstance(error, (ConnectionRefusedError, ssl.SSLError, socket.gaierror))
                if attempt >= _ATTEMPTS or not may_repeat or is_final:
                    raise self._unreachable(error, body) from error
                wait = _LOST_WAIT_SECONDS
            else:
                if response.status < 300:
                    return response, connection
                asked = _retry_after(response)
                with contextlib.closing(connection):
                    if attempt >= _ATTEMPTS or asked is None:
                        raise self._failure(response, method, body)
                wait = asked
            time.sleep(wait)  # what the service asks for, or for a lost connection to come back

    @staticmethod
    def _send(
        connection: http.client.HTTPConnection,
        method: str,
        target: str,
        body: bytes | Upload | None,
        headers: dict[str, str],
    ) -> http.client.HTTPResponse:
        try:
            connection.request(method, target, body, headers)
        except (BrokenPipeError, ConnectionResetError):
            # The service may have refused the upload before it had all of it: its answer says why.
            if connection.sock is None:
                raise
        return connection.getresponse()

    def _connection(self) -> http.client.HTTPConnection:
        if not self._is_tls:
            return http.client.HTTPConnection(self._host, self._port, timeout=_TIMEOUT_SECONDS)
        proxy = "" if is_loopback(self._host) else urllib.request.getproxies().get("https", "")
        if not proxy or urllib.request.proxy_bypass(self._host):
            return http.client.HTTPSConnection(self._host, self._port, timeout=_TIMEOUT_SECONDS, context=self._context)
        parts = urllib.parse.urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        connection = http.client.HTTPSConnection(
            str(parts.hostname), parts.port or 3128, timeout=_TIMEOUT_SECONDS, context=self._context
        )
        headers = {}
        if parts.username:
            user = f"{urllib.parse.unquote(parts.username)}:{urllib.parse.unquote(parts.password or '')}"
            headers["Proxy-Authorization"] = f"Basic {base64.b64encode(user.encode()).decode()}"
        connection.set_tunnel(self._host, self._port, headers)
        return connection

    def _failure(self, response: http.client.HTTPResponse, method: str, body: bytes | Upload | None) -> Failure:
        """What an answer of no success means."""
        url, status = self._login.url, response.status
        if 300 <= status < 400:
            where = response.headers.get("Location", "")
            return Failure(
                f"{url} answers with a redirect to {where[:200]!r}, which is not followed: the token is for {url}.",
                "If that is the service, log in with its URL.",
                NOT_REACHED,
            )
        problem = _problem(response)
        exit_code = NOT_REACHED if status in (401, 403) else FAILED
        if problem is not None:
            detail, next_step = str(problem.get("detail", "")), str(problem.get("next_step", ""))
            failure = Failure(detail, next_step, exit_code, str(problem.get("code", "")))
            return Unreachable(detail, next_step) if status in (502, 503, 504) else failure
        if status == 404 and method == "HEAD":
            return Failure("There is nothing there.", "", FAILED, "not_found")
        if status == 413 and isinstance(body, Upload):
            return Failure(
                f"The upload of {body.size / 1e6:.1f} MB is too large for {url} or a proxy before it.",
                "Leave out what the build makes or fetches by itself.",
                FAILED,
                "too_large",
            )
        if status >= 500:
            return Unreachable(f"{url} answers with status {status}.", "Try again later.")
        return Failure(f"{url} answers with status {status}.", "Check the URL and the token.", exit_code)

    def _unreachable(self, error: Exception, body: bytes | Upload | None) -> Unreachable:
        url = self._login.url
        if isinstance(body, Upload) and isinstance(
            error, (ConnectionResetError, BrokenPipeError, http.client.HTTPException)
        ):
            return Unreachable(
                f"{url} ended the connection during the upload of {body.size / 1e6:.1f} MB.",
                "If that is more than the service takes, leave out what the build makes or fetches by itself.",
            )
        if isinstance(error, ssl.SSLCertVerificationError):
            return Unreachable(
                f"The certificate of {url} is not trusted: {error.verify_message}.",
                "Give the PEM file of the authority that signed it: --ca-file FILE.",
            )
        if isinstance(error, TimeoutError):
            return Unreachable(f"{url} gave no answer within {_TIMEOUT_SECONDS:g} s.", "Try again later.")
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return Unreachable(f"{url} cannot be reached: {reason}.", "Check the URL of the service, and the network.")


def _tls_context(ca_file: str) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if ca_file:
        try:
            context.load_verify_locations(cafile=ca_file)
        except (OSError, ssl.SSLError) as error:
            raise Failure(
                f"{ca_file} cannot be used: {error.strerror or 'no PEM certificate in it'}.",
                "Give the path of a PEM file with --ca-file.",
                USAGE,
            ) from error
    return context


def _read(response: http.client.HTTPResponse, url: str) -> bytes:
    try:
        return response.read()
    except (OSError, http.client.HTTPException) as error:
        raise Unreachable(f"The connection to {url} was lost.", "Run the command again.") from error


def _retry_after(response: http.client.HTTPResponse) -> float | None:
    """Seconds after which to send a request again; None where that changes nothing."""
    if response.status not in (429, 502, 503, 504):
        return None
    text = response.headers.get("Retry-After", "")
    wait = float(text) if re.fullmatch(r"[0-9]{1,6}", text) else _LOST_WAIT_SECONDS
    return wait if wait <= _LONGEST_RETRY_AFTER_SECONDS else None


def _problem(response: http.client.HTTPResponse) -> Json | None:
    """The problem in an answer; None where there is none."""
    if not response.headers.get("Content-Type", "").startswith("application/problem+json"):
        return None
    try:
        problem = json.loads(response.read(1 << 20))
    except (OSError, ValueError, http.client.HTTPException):
        return None
    return problem if isinstance(problem, dict) else None


class Project:
    """A directory with a spin.toml; raises Failure where it is none."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        try:
            self._text = (directory / MANIFEST).read_text(encoding="utf-8")
            self._manifest: Json = tomllib.loads(self._text) if tomllib is not None else {}
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise Failure(
                f"{directory / MANIFEST} cannot be read: {reason}.", "Name the directory of a Spin project.", USAGE
            ) from error

    def name(self) -> str:
        """The application's name in spin.toml, which is that of the function; raises Failure."""
        if self._manifest:
            table = self._manifest.get("application", self._manifest)
            name = table.get("name") if isinstance(table, dict) else None
        else:
            name = _name_in(self._text)
        if not name:
            raise Failure(f"{self.directory / MANIFEST} has no name.", "Give one: --name NAME.", USAGE)
        return str(name)

    def named(self) -> set[str]:
        """The files that the manifest needs and no build makes, whatever .gitignore says. Knows none before Python
        3.11, which has no reader of TOML."""
        components = self._manifest.get("component", [])
        tables = list(components.values()) if isinstance(components, dict) else components
        found = {MANIFEST}
        for component in tables if isinstance(tables, list) else []:
            if not isinstance(component, dict) or component.get("build"):
                continue
            wanted = [component.get("source")]
            wanted += [
                mount.get("source") if isinstance(mount, dict) else mount for mount in component.get("files") or []
            ]
            for path in wanted:
                if isinstance(path, str):
                    found |= self._below(path)
        return found

    def _below(self, path: str) -> set[str]:
        """The files that a path or a pattern of the manifest names."""
        whole = self.directory / path
        if whole.is_file():
            return {os.path.normpath(path)}
        roots = [whole] if whole.is_dir() else list(self.directory.glob(path)) if not os.path.isabs(path) else []
        files = [file for root in roots for file in (root.rglob("*") if root.is_dir() else [root]) if file.is_file()]
        return {os.path.relpath(file, self.directory) for file in files}

    def files(self) -> list[str]:
        """The paths of the files to upload, sorted, relative to the directory and with slashes."""
        found = self._of_git()
        if found is None:
            found = set(self._walk())
        return sorted(path.replace(os.sep, "/") for path in found | self.named())

    def _of_git(self) -> set[str] | None:
        """What git tracks, and what it does not ignore; None outside of a work tree, or without git."""
        tracked = self._git("--cached")
        others = self._git("--others", "--exclude-standard")
        if not tracked and not others:
            return None
        kept = {path for path in others if not _is_skipped(path)} | tracked
        # A submodule is one path, of a directory; a tracked file may be deleted.
        return {path for path in kept if (self.directory / path).is_file() or (self.directory / path).is_symlink()}

    def _git(self, *options: str) -> set[str]:
        """Paths that `git ls-files` gives. It runs no program that the repository names."""
        command = [
            "git",
            "-c",
            "safe.directory=*",
            "-c",
            "core.fsmonitor=false",
            "-C",
            str(self.directory),
            "ls-files",
            "-z",
            *options,
        ]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        try:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, check=False, env=environment, timeout=60
            )
        except (OSError, subprocess.TimeoutExpired):
            return set()
        return {os.fsdecode(path) for path in done.stdout.split(b"\0") if path} if done.returncode == 0 else set()

    def _walk(self) -> t.Iterator[str]:
        for place, directories, files in os.walk(self.directory):
            here = os.path.relpath(place, self.directory)
            skipped = SKIPPED_DIRECTORIES | {name for name, beside in MADE_BY.items() if beside in files}
            directories[:] = [
                name
                for name in directories
                if name not in skipped
                and not any(os.path.exists(os.path.join(place, name, mark)) for mark in MADE_BY_TOOLS)
            ]
            for name in [*files, *(name for name in directories if os.path.islink(os.path.join(place, name)))]:
                path = os.path.normpath(os.path.join(here, name))
                if not _is_skipped(path):
                    yield path


def _is_skipped(path: str) -> bool:
    *directories, name = path.replace(os.sep, "/").split("/")
    return name in SKIPPED_FILES or name.endswith(".pyc") or not SKIPPED_DIRECTORIES.isdisjoint(directories)


def _name_in(text: str) -> str:
    """The name in a spin.toml, for a Python without a reader of TOML: of `[application]`, or above all tables."""
    table = ""
    for line in text.splitlines():
        if header := re.fullmatch(r"\s*\[\s*([\w.-]+)\s*\]\s*(?:#.*)?", line):
            table = header[1]
        value = re.match(r"""\s*(application\s*\.\s*)?name\s*=\s*(?:"([^"\\]*)"|'([^']*)')""", line)
        if value and (table == "application" or not table):
            return value[2] or value[3] or ""
    return ""


def pack(directory: Path, paths: t.Iterable[str], stream: t.BinaryIO) -> str:
    """Write files as a tar.gz that is the same for the same files; gives its digest.

    Raises:
        Failure: a file cannot be read, or is a link to something other than a file of the project.
    """
    root = os.path.realpath(directory)
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=stream, mtime=0) as compressed,
        tarfile.open(fileobj=compressed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for path in paths:
            file = directory / path
            real = os.path.realpath(file)
            # A link becomes the file that it points to, as for the source digest.
            if not os.path.isfile(real) or not real.startswith(os.path.join(root, "")):
                raise Failure(
                    f"{file} is no file of the project: it is a special file, or a link to a directory, to nothing, or "
                    "out of the project.",
                    "Put the file itself there, or name it in .gitignore.",
                    USAGE,
                )
            try:
                with open(real, "rb") as content:
                    status = os.fstat(content.fileno())
                    about = tarfile.TarInfo(path)
                    about.size = status.st_size
                    about.mode = 0o755 if status.st_mode & stat.S_IXUSR else 0o644
                    archive.addfile(about, content)
            except (OSError, UnicodeEncodeError) as error:
                reason = getattr(error, "strerror", None) or error
                raise Failure(
                    f"{file} cannot be read: {reason}.", "Make it readable, or name it in .gitignore.", USAGE
                ) from error
    digest = hashlib.sha256()
    stream.seek(0)
    while data := stream.read(_CHUNK_BYTES):
        digest.update(data)
    return f"sha256:{digest.hexdigest()}"


class BuildLog:
    """Shows a deployment's log, without its last lines where the command says the same."""

    def __init__(self) -> None:
        self._held: list[str] = []

    def line(self, text: str) -> None:
        """Show a line, or hold it back: it may be one of the last."""
        if text.startswith(("failed: ", "ready ")) or (self._held and text.startswith("next: ")):
            self._held.append(text)
            return
        for held in self._held:
            tell(held)
        self._held = []
        tell(text)

    def end(self, deployment: Json) -> None:
        """Show what was held back, if it is not the deployment's end."""
        last = (f"failed: {deployment.get('reason')}", f"ready {deployment.get('url')}")
        if self._held and self._held[0] not in last:
            for held in self._held:
                tell(held)


class Following:
    """Shows the place in the queue and the log of a deployment while it goes on."""

    def __init__(self, service: Service, deployment: Json) -> None:
        self.deployment = deployment
        self.offset = 0
        self._service, self._path = service, deployment_path(deployment)
        self._log, self._position = BuildLog(), None

    def step(self) -> bool:
        """Show what is new, as long as the connection holds; gives whether all of a finished deployment was shown.
        Raises Failure."""
        while self.deployment["phase"] == "Queued":
            position = self.deployment.get("position")
            if position not in (None, self._position):
                self._position = position
                tell("queued, the next one" if position == 1 else f"queued, {position} in the queue")
            self.deployment = self._service.json("GET", self._path, query={"wait": _QUEUE_SECONDS})
        # The phase was read before the log: what a finished deployment wrote is there.
        is_finished = self.deployment["phase"] in _FINISHED
        query = {"follow": "false" if is_finished else "true", "offset": self.offset}
        is_whole = False
        for line in self._service.lines(f"{self._path}/log", query=query):
            if line is None:
                is_whole = True
                break
            self.offset = int(line["offset"])
            self._log.line(str(line["text"]))
        if is_finished and is_whole:
            self._log.end(self.deployment)
            return True
        self.deployment = self._service.json("GET", self._path, query={"wait": 1})
        return False


def follow(service: Service, deployment: Json) -> Json:
    """Show a deployment until it is finished, over lost connections; gives it as it is then. Raises Failure."""
    following = Following(service, deployment)
    lost_at, offset = 0.0, -1
    while True:
        try:
            if following.step():
                return following.deployment
            offset = -1
            continue
        except Unreachable as failure:
            if following.offset != offset:
                lost_at, offset = time.monotonic(), following.offset
                tell(f"{failure.detail} The deployment goes on; trying again.")
            if time.monotonic() - lost_at > _LOST_SECONDS:
                raise
        time.sleep(_LOST_WAIT_SECONDS)  # the service may be starting again


def deployment_path(deployment: Json) -> str:
    """The path of a deployment in the API."""
    return f"{function_path(deployment['tenant'], deployment['function'])}/deployments/{int(deployment['number'])}"


def function_path(tenant: str, name: str) -> str:
    """The path of a function in the API."""
    return f"{tenant_path(tenant)}/functions/{urllib.parse.quote(name, safe='')}"


def tenant_path(tenant: str) -> str:
    """The path of a tenant in the API."""
    return f"/v1/tenants/{urllib.parse.quote(tenant, safe='')}"


def table(rows: t.Sequence[tuple[str, ...]], headers: tuple[str, ...], none: str) -> list[str]:
    """Rows below their headers as lines; `none` where there are none."""
    if not rows:
        return [none]
    texts = [headers, *(tuple(printable(cell) for cell in row) for row in rows)]
    widths = [max(len(row[column]) for row in texts) for column in range(len(headers))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in texts]


class Command:
    """One run of the command; each method below is a subcommand and gives the exit code."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._arguments = arguments
        self._login: Login | None = None

    def _show(self, answer: Json, *lines: str) -> None:
        """Show an answer as JSON where that is asked for, else the lines."""
        if self._arguments.json:
            print(json.dumps(answer, indent=2), flush=True)
            return
        for line in lines:
            show(line)

    def _service(self) -> Service:
        """The service of the arguments, of the environment or of the last login, and who one is there."""
        given = self._arguments
        url = given.service or os.environ.get("WASMFAAS_SERVICE", "")
        url = checked_url(url, plain_http=given.plain_http or _is_known(url)) if url else ""
        login = Credentials().login(url)
        secret = os.environ.get("WASMFAAS_TOKEN", "")
        if secret and (url or login):
            login = Login(url or t.cast(Login, login).url, checked_token(secret), "", login.ca_file if login else "")
        if login is None:
            raise Failure(
                f"There is no login at {url}." if url else "No service is known.", "Run `wasmfaas login URL`.", USAGE
            )
        self._login = login._replace(ca_file=given.ca_file or login.ca_file)
        return Service(self._login)

    def _tenant(self, service: Service) -> str:
        tenant = self._arguments.tenant or os.environ.get("WASMFAAS_TENANT") or (self._login or Login("", "")).tenant
        if tenant:
            return str(tenant)
        own = str(service.json("GET", "/v1/self")["tenant"])
        if own == "*":
            raise Failure("The token is for all tenants.", "Name one: --tenant TENANT.", USAGE)
        return own

    def _function(self) -> tuple[Service, str]:
        """The service and the path of the function that is named."""
        service = self._service()
        return service, function_path(self._tenant(service), self._arguments.name)

    def login(self) -> int:
        """Keep a token after a try."""
        given = self._arguments
        url = checked_url(given.url, plain_http=given.plain_http)
        ca_file = os.path.abspath(given.ca_file) if given.ca_file else ""
        login = Login(url, _token(given.token_file, url), "", ca_file, given.plain_http)
        self_ = Service(login).json("GET", "/v1/self")
        tenant = given.tenant or ("" if self_["tenant"] == "*" else str(self_["tenant"]))
        credentials = Credentials()
        credentials.keep(login._replace(tenant=tenant))
        where = f"tenant {self_['tenant']}" if self_["tenant"] != "*" else "all tenants"
        self._show(self_, f"Logged in at {url} as {self_['name']} ({self_['role']}, {where}).")
        return 0

    def logout(self) -> int:
        """Forget a token."""
        there = Credentials().forget((self._arguments.url or "").rstrip("/"))
        self._show({"changed": there}, "Logged out." if there else "There was no login.")
        return 0

    def deploy(self) -> int:
        """Upload a project unless it is there, and deploy it."""
        given = self._arguments
        project = Project(Path(given.directory))
        name = given.name or project.name()
        if not _FUNCTION_NAME.fullmatch(name):
            raise Failure(
                f"{name!r} is no name of a function: at most 52 characters a-z, 0-9 and -, of which the first is a "
                "letter and the last is not -.",
                "Give another: --name NAME.",
                USAGE,
            )
        service = self._service()
        tenant = self._tenant(service)
        wanted = {option: getattr(given, option) for option in ("profile", "timeout", "build_timeout", "probe_path")}
        settings = {option: value for option, value in wanted.items() if value is not None}
        with tempfile.TemporaryFile(prefix="wasmfaas-") as stream:
            digest = pack(project.directory, project.files(), stream)
            source = digest
            path = f"{function_path(tenant, name)}/deployments"
            if not service.exists(f"{tenant_path(tenant)}/sources/{digest}"):
                source = _upload(service, tenant, digest, stream)
            try:
                deployment = service.json("POST", path, {"source": source, "settings": settings}, again=True)
            except Failure as failure:
                if failure.code != "not_found" or source != digest:
                    raise
                source = _upload(service, tenant, digest, stream)  # it was forgotten meanwhile
                deployment = service.json("POST", path, {"source": source, "settings": settings}, again=True)
        return self._finish(service, deployment)

    def _finish(self, service: Service, deployment: Json) -> int:
        """Follow a deployment that was asked for, and show its end."""
        known = deployment["phase"] in _FINISHED
        if not self._arguments.wait and not known:
            self._show(
                deployment,
                f"deployment {deployment['number']} of {deployment['tenant']}/{deployment['function']}",
            )
            return 0
        if not known:
            tell(f"deployment {deployment['number']} of {deployment['tenant']}/{deployment['function']}")
            try:
                deployment = follow(service, deployment)
            except KeyboardInterrupt:
                tell(f"\nThe deployment goes on; `wasmfaas cancel {deployment['function']}` ends it.")
                return INTERRUPTED
        if deployment["phase"] == "Ready":
            if known:
                tell("unchanged")
            else:
                stages = {stage: float(seconds) for stage, seconds in (deployment.get("stages") or {}).items()}
                noticed = ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in stages.items() if seconds >= 0.1)
                tell(f"ready in {sum(stages.values()):.1f} s" + (f" ({noticed})" if noticed else ""))
            self._show(deployment, str(deployment["url"]))
            return 0
        self._show(deployment)
        tell(f"{deployment['phase'].lower()}: {deployment.get('reason')}")
        if deployment.get("next_step"):
            tell(f"Next: {deployment['next_step']}")
        return CANCELLED if deployment["phase"] == "Cancelled" else FAILED

    def list(self) -> int:
        """The functions of the tenant."""
        service = self._service()
        answer = service.json("GET", f"{tenant_path(self._tenant(service))}/functions")
        rows = [
            (one["name"], one["status"], one["url"] or "-", one["digest"][7:19] or "-", _newest(one.get("deployment")))
            for one in answer["functions"]
        ]
        self._show(answer, *table(rows, ("NAME", "STATUS", "URL", "DIGEST", "NEWEST DEPLOYMENT"), "no functions"))
        return 0

    def status(self) -> int:
        """One function with its newest deployment."""
        service, path = self._function()
        answer = service.json("GET", path)
        deployment = answer.get("deployment") or {}
        rows = {
            "name": f"{answer['tenant']}/{answer['name']}",
            "status": answer["status"],
            "url": answer["url"],
            "digest": answer["digest"],
            "deployment": _newest(deployment),
            "reason": deployment.get("reason", ""),
            "next step": deployment.get("next_step", ""),
        }
        self._show(answer, *(f"{key + ':':12}{value}" for key, value in rows.items() if value))
        return 0

    def versions(self) -> int:
        """The deployments of a function."""
        service, path = self._function()
        answer = service.json("GET", f"{path}/deployments")
        rows = [
            (
                str(one["number"]),
                one["phase"],
                one["artifact"][7:19] or "-",
                one["source"][7:19],
                one["created"],
                one["requested_by"],
                one["reason"],
            )
            for one in answer["deployments"]
        ]
        headers = ("NUMBER", "PHASE", "DIGEST", "SOURCE", "CREATED", "BY", "REASON")
        self._show(answer, *table(rows, headers, "no deployments"))
        return 0

    def logs(self) -> int:
        """What a function wrote, or the log of a deployment."""
        service, path = self._function()
        if self._arguments.build is not None:
            return self._build_log(service, path)
        query = {"lines": max(self._arguments.lines, _FOLLOWED_LINES if self._arguments.follow else 1)}
        shown = service.text(f"{path}/logs", query=query).splitlines()
        last = shown[-self._arguments.lines :]
        self._show({"lines": last}, *last)
        while self._arguments.follow:
            time.sleep(_LOG_SECONDS)  # the API cannot follow a function's log
            try:
                found = service.text(f"{path}/logs", query=query).splitlines()
            except Unreachable as failure:
                tell(failure.detail)
                continue
            new = found[_overlap(shown, found) :]
            if new:
                self._show({"lines": new}, *new)
            shown = found
        return 0

    def _build_log(self, service: Service, path: str) -> int:
        deployment = self._deployment(service, path, self._arguments.build)
        shown: list[str] = []
        query = {"follow": "true" if self._arguments.follow else "false", "offset": 0}
        for line in service.lines(f"{deployment_path(deployment)}/log", query=query):
            if line is not None:
                shown.append(str(line["text"]))
                if not self._arguments.json:
                    show(shown[-1])
        if self._arguments.json:
            self._show({"lines": shown})
        return 0

    def _deployment(self, service: Service, path: str, number: int) -> Json:
        """A deployment of a function; the newest where the number is 0."""
        if number:
            return service.json("GET", f"{path}/deployments/{number}")
        found = service.json("GET", f"{path}/deployments")["deployments"]
        if not found:
            raise Failure(
                f"{self._arguments.name} has no deployments.",
                "See the functions: `wasmfaas list`.",
                FAILED,
                "not_found",
            )
        newest: Json = found[0]
        return newest

    def rollback(self) -> int:
        """Deploy an earlier version again."""
        service, path = self._function()
        to = {} if self._arguments.to is None else {"to": self._arguments.to}
        return self._finish(service, service.json("POST", f"{path}/rollback", to))

    def cancel(self) -> int:
        """End a deployment that waits or is built."""
        service, path = self._function()
        number = self._deployment(service, path, self._arguments.number or 0)["number"]
        answer = service.json("DELETE", f"{path}/deployments/{number}")
        self._show(answer, f"deployment {number} is being cancelled")
        return 0

    def delete(self) -> int:
        """Remove a function."""
        service, path = self._function()
        query = {"keep_data": "true"} if self._arguments.keep_data else None
        answer = service.json("DELETE", path, query=query)
        self._show(answer, "deleted" if answer["changed"] else "there was nothing to delete")
        return 0

    def set_variable(self) -> int:
        """Set variables."""
        values = {}
        for text in self._arguments.values:
            key, equals, value = text.partition("=")
            if not equals:
                raise Failure(f"{text!r} has no `=`.", "Write it as in greeting=hello.", USAGE)
            values[key] = value
        service, path = self._function()
        answer: Json = {}
        for key, value in values.items():
            # The last one deploys them all.
            query = {"deploy": "false"} if key != list(values)[-1] else None
            answer = service.json(
                "PUT", f"{path}/variables/{urllib.parse.quote(key, safe='')}", {"value": value}, query=query
            )
        return self._after_change(service, answer)

    def set_secret(self) -> int:
        """Set a secret to what is typed or piped in."""
        service, path = self._function()
        key = self._arguments.key
        value = getpass.getpass(f"Value of {key}: ") if sys.stdin.isatty() else sys.stdin.read().rstrip("\r\n")
        answer = service.json("PUT", f"{path}/secrets/{urllib.parse.quote(key, safe='')}", {"value": value})
        return self._after_change(service, answer)

    def unset_variable(self) -> int:
        """Remove a variable or a secret."""
        service, path = self._function()
        key = urllib.parse.quote(self._arguments.key, safe="")
        return self._after_change(service, service.json("DELETE", f"{path}/{self._arguments.kind}/{key}"))

    def _after_change(self, service: Service, answer: Json) -> int:
        """Follow the deployment that a variable caused, if there is one."""
        if answer.get("deployment"):
            return self._finish(service, answer["deployment"])
        self._show(answer, "kept for the first deployment")
        return 0

    def list_variables(self) -> int:
        """The variables of a function; secrets without values."""
        service, path = self._function()
        answer = service.json("GET", f"{path}/variables")
        rows = [(one["name"], "(secret)" if one["secret"] else one["value"]) for one in answer["variables"]]
        self._show(answer, *table(rows, ("NAME", "VALUE"), "no variables"))
        return 0

    def create_token(self) -> int:
        """Make a token, which is shown once."""
        given = self._arguments
        tenant = given.tenant or ("*" if given.role == "admin" else "")
        if not tenant:
            raise Failure("A token is for one tenant.", "Name it: --tenant TENANT.", USAGE)
        wanted = {"name": given.name, "tenant": tenant, "role": given.role}
        answer = self._service().json(
            "POST", "/v1/tokens", {**wanted, **({"expires": given.expires} if given.expires else {})}
        )
        if not given.json:
            tell("Keep the token now; it is not shown again.")
        self._show(answer, answer["token"])
        return 0

    def list_tokens(self) -> int:
        """All tokens."""
        answer = self._service().json("GET", "/v1/tokens")
        rows = [(one["name"], one["tenant"], one["role"], one.get("expires") or "-") for one in answer["tokens"]]
        self._show(answer, *table(rows, ("NAME", "TENANT", "ROLE", "EXPIRES"), "no tokens"))
        return 0

    def delete_token(self) -> int:
        """Revoke a token."""
        self._service().json("DELETE", f"/v1/tokens/{urllib.parse.quote(self._arguments.name, safe='')}")
        self._show({"changed": True}, "revoked")
        return 0


def _is_known(url: str) -> bool:
    """Whether the user allowed plain HTTP to a service at the login."""
    login = Credentials().login(url.rstrip("/"))
    return login is not None and login.plain_http


def _upload(service: Service, tenant: str, digest: str, stream: t.BinaryIO) -> str:
    """Upload an archive; gives the digest of its source."""
    with service.answer("PUT", f"{tenant_path(tenant)}/sources/{digest}", Upload(stream)) as response:
        return str(json.loads(_read(response, "the service"))["source"])


def _token(file: str | None, url: str) -> str:
    """The token from a file, the environment, the terminal or standard input; raises Failure."""
    if file:
        try:
            return checked_token(Path(file).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise Failure(f"{file} cannot be read: {reason}.", "Name a file that holds the token.", USAGE) from error
    if secret := os.environ.get("WASMFAAS_TOKEN"):
        return checked_token(secret)
    return checked_token(getpass.getpass(f"Token for {url}: ") if sys.stdin.isatty() else sys.stdin.readline())


def _newest(deployment: Json | None) -> str:
    return f"{deployment['number']} {deployment['phase']}" if deployment else "-"


def _overlap(shown: list[str], found: list[str]) -> int:
    """How many lines at the beginning of `found` end `shown`, as far as one can tell."""
    for count in range(min(len(shown), len(found)), 0, -1):
        if shown[-count:] == found[:count]:
            return count
    return 0


def parser() -> argparse.ArgumentParser:
    """The arguments of the command."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", help="show the result as JSON")
    common.add_argument("--tenant", help="default: WASMFAAS_TENANT, or the tenant of the token")
    common.add_argument("--service", metavar="URL", help="default: WASMFAAS_SERVICE, or that of the last login")
    common.add_argument("--ca-file", metavar="FILE", help="authorities to trust beside the system's, as PEM")
    common.add_argument("--plain-http", action="store_true", help="allow http:// to another machine")
    waiting = argparse.ArgumentParser(add_help=False)
    waiting.add_argument("--no-wait", dest="wait", action="store_false", help="do not wait for the deployment's end")

    top = argparse.ArgumentParser(prog="wasmfaas", description="Deploys functions with the hosted service.")
    top.add_argument("--version", action="version", version=VERSION)
    commands = top.add_subparsers(metavar="COMMAND", required=True)

    def add(
        where: t.Any, name: str, run: t.Callable[[Command], int], about: str, *parents: argparse.ArgumentParser
    ) -> argparse.ArgumentParser:
        made: argparse.ArgumentParser = where.add_parser(
            name, help=about, description=about, parents=[common, *parents]
        )
        made.set_defaults(run=run)
        return made

    one = add(commands, "login", Command.login, "keep the token for a service")
    one.add_argument("url", metavar="URL")
    one.add_argument("--token-file", metavar="FILE", help="default: WASMFAAS_TOKEN, or a prompt")
    one = add(commands, "logout", Command.logout, "forget the token for a service")
    one.add_argument("url", metavar="URL", nargs="?")
    one = add(commands, "deploy", Command.deploy, "build and run the project of a directory", waiting)
    one.add_argument("directory", metavar="DIRECTORY", nargs="?", default=".")
    one.add_argument("--name", help="of the function; default: the name in spin.toml")
    one.add_argument("--profile", help="build profile of spin.toml")
    one.add_argument("--timeout", type=int, metavar="SECONDS", help="for one request")
    one.add_argument("--build-timeout", type=int, metavar="SECONDS", help="for the build of one component")
    one.add_argument("--probe-path", metavar="PATH", help="of the request that must be answered")
    add(commands, "list", Command.list, "show the functions")

    def function(name: str, run: t.Callable[[Command], int], about: str, *parents: argparse.ArgumentParser) -> t.Any:
        made = add(commands, name, run, about, *parents)
        made.add_argument("name", metavar="NAME")
        return made

    one = function("logs", Command.logs, "show what a function wrote")
    one.add_argument("-f", "--follow", action="store_true", help="go on with what it writes")
    one.add_argument("--lines", type=int, default=100, help="default: 100")
    one.add_argument(
        "--build",
        type=int,
        nargs="?",
        const=0,
        metavar="NUMBER",
        help="the log of a deployment, of the newest by default",
    )
    function("status", Command.status, "show a function and its newest deployment")
    function("versions", Command.versions, "show the deployments of a function")
    one = function("rollback", Command.rollback, "deploy an earlier version again", waiting)
    one.add_argument("--to", type=int, metavar="NUMBER", help="of a deployment; default: the one before the live one")
    one = function("cancel", Command.cancel, "end a deployment that waits or is built")
    one.add_argument("number", metavar="NUMBER", type=int, nargs="?", help="default: the newest")
    one = function("delete", Command.delete, "remove a function")
    one.add_argument("--keep-data", action="store_true", help="keep its stores and databases")
    _add_variables(commands, add, waiting)
    _add_tokens(commands, add)
    return top


def _add_variables(commands: t.Any, add: t.Callable[..., argparse.ArgumentParser], waiting: t.Any) -> None:
    about = {"variables": "a function's variables", "secrets": "a function's secret variables"}
    for kind, text in about.items():
        actions = commands.add_parser(kind, help=text, description=text).add_subparsers(metavar="ACTION", required=True)
        is_secret = kind == "secrets"
        setter = Command.set_secret if is_secret else Command.set_variable
        one = add(actions, "set", setter, "set and deploy again", waiting)
        one.add_argument("name", metavar="NAME")
        if is_secret:
            one.add_argument("key", metavar="KEY", help="the value is asked for, or read from standard input")
        else:
            one.add_argument("values", metavar="KEY=VALUE", nargs="+")
        one = add(actions, "unset", Command.unset_variable, "remove and deploy again", waiting)
        one.add_argument("name", metavar="NAME")
        one.add_argument("key", metavar="KEY")
        one.set_defaults(kind=kind)
        one = add(actions, "list", Command.list_variables, "show all, secrets without values")
        one.add_argument("name", metavar="NAME")


def _add_tokens(commands: t.Any, add: t.Callable[..., argparse.ArgumentParser]) -> None:
    text = "tokens of the service, for its administrators"
    actions = commands.add_parser("token", help=text, description=text).add_subparsers(metavar="ACTION", required=True)
    one = add(actions, "create", Command.create_token, "make a token, which is shown once")
    one.add_argument("name", metavar="NAME", help="tells who uses it")
    one.add_argument("--role", choices=("read", "deploy", "admin"), default="deploy", help="default: deploy")
    one.add_argument("--expires", metavar="TIME", help="RFC 3339, as in 2027-01-31T12:00:00Z; default: never")
    add(actions, "list", Command.list_tokens, "show all tokens")
    one = add(actions, "delete", Command.delete_token, "revoke a token")
    one.add_argument("name", metavar="NAME")


def main() -> int:
    """Run the command; gives its exit code."""
    arguments = parser().parse_args()
    try:
        code: int = arguments.run(Command(arguments))
        return code
    except Failure as failure:
        if arguments.json:
            error = {"code": failure.code, "detail": failure.detail, "next_step": failure.next_step}
            print(json.dumps({"error": error}, indent=2))
        else:
            tell(f"Error: {failure.detail}")
            if failure.next_step:
                tell(f"Next: {failure.next_step}")
        return failure.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # `wasmfaas list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED


if __name__ == "__main__":
    sys.exit(main())
