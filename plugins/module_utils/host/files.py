# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps a list of files on a host: compares all of them, fails before it touches one, then replaces each that differs
in one step.

A file too large for the module's arguments is transferred between two calls: `compare` says where to put it, `finish`
checks and moves it. A run that is cut off leaves at most a transferred file under its temporary name, which the next
run removes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import grp
import hashlib
import os
import pwd
import re
import shutil
import stat
import subprocess
import typing as t

from ..errors import PlatformError
from .digests import Digests, sha256_of

PARTIAL = ".wasmfaas-partial"
DIFF_BYTES = 64 * 1024
STAGING_DIRECTORY = "/var/tmp"  # noqa: S108 (only for a file made by us, exclusively, under a name that nobody else may take over)
SPARE_BYTES = 16 * 1024 * 1024
"""Bytes that a transfer leaves free on its file system: etcd and the journal write there too."""
UNKNOWN_SIZE = -1
"""Size of a source that does not exist yet, in check mode."""
OUR_MODES = {"directory": 0o755, "file": 0o644, "secret": 0o600}


@dataclasses.dataclass(frozen=True)
class File:
    """The desired state of a file. If `content` is None, the file is transferred, and `sha256` and `size` describe
    it."""

    path: str
    content: bytes | None = None
    sha256: str = ""
    size: int = 0
    mode: int = 0o644
    owner: str = "root"
    group: str = "root"
    present: bool = True
    secret: bool = False


@dataclasses.dataclass(frozen=True)
class Directory:
    path: str
    mode: int = 0o755
    owner: str = "root"
    group: str = "root"


@dataclasses.dataclass
class Change:
    """What must be done to one path."""

    path: str
    content: bool = False
    attributes: bool = False
    removed: bool = False
    created: bool = False
    before: str = ""
    after: str = ""


def run(parameters: dict[str, t.Any], check_mode: bool, hidden: set[str]) -> dict[str, t.Any]:
    """The module `managed_files`: its options to its result."""
    files = [_file(entry) for entry in parameters.get("files") or []]
    for file in files:
        if file.secret and file.content:
            text = file.content.decode("utf-8", "replace")
            hidden.update(part for part in (text, text.strip()) if part)
    directories = [_directory(entry) for entry in parameters.get("directories") or []]
    _check_paths([*(file.path for file in files), *(directory.path for directory in directories)])
    manager = Manager(Digests())
    if parameters.get("phase") == "finish":
        return manager.finish(files, {entry["path"]: entry["staged"] for entry in parameters.get("staged") or []})
    return manager.compare(files, directories, check_mode=check_mode)


class Manager:
    """Changes files to their desired state."""

    def __init__(self, digests: Digests) -> None:
        self.digests = digests

    def compare(self, files: list[File], directories: list[Directory], *, check_mode: bool) -> dict[str, t.Any]:
        """Change every file that differs, except those that must be transferred; `transfers` of the result lists them.

        Raises:
            PlatformError: something is in the way, or there is not enough space; nothing has been changed.
        """
        desired_directories = _with_parents(directories, files)
        owned: list[File | Directory] = [*desired_directories, *files]
        for desired in owned:
            _identifiers(desired)
        changes = [change for directory in desired_directories if (change := self._directory_change(directory))]
        file_changes = {file.path: change for file in files if (change := self._file_change(file))}
        changes += file_changes.values()
        transfers = [
            file
            for file in files
            if file.content is None and file.path in file_changes and file_changes[file.path].content
        ]
        if not check_mode:
            leftovers = [file for file in files if file.content is None]
            with _explained():
                for file in leftovers:
                    _remove_leftovers(file)
            _check_space(
                [file for file in files if file.path in file_changes and file_changes[file.path].content],
                partials_of=transfers,
            )
            with _explained():
                for directory in desired_directories:
                    _make_directory(directory)
                for file in files:
                    if file.path in file_changes and file not in transfers:
                        _apply(file, file_changes[file.path])
        return {
            "changed": bool(changes),
            "changed_files": [change.path for change in changes],
            "transfers": [] if check_mode else [{"path": file.path, "staged": _stage(file)} for file in transfers],
            "diff": [_difference(change) for change in changes],
        }

    def finish(self, files: list[File], staged: dict[str, str]) -> dict[str, t.Any]:
        """Check the files that were transferred to `staged` (temporary name by path), and move them into place.

        Raises:
            PlatformError: a file is not what was sent; the file in place is unchanged.
        """
        arrived = [file for file in files if file.path in staged]
        try:
            with _explained():
                for file in arrived:
                    _take_over(file, staged[file.path])
                for file in arrived:
                    _move(staged[file.path], file)
        finally:
            for name in staged.values():
                with contextlib.suppress(OSError):
                    os.unlink(name)
        return {"changed": bool(arrived), "changed_files": [file.path for file in arrived]}

    def _directory_change(self, directory: Directory) -> Change | None:
        try:
            status = os.stat(directory.path)
        except FileNotFoundError:
            if os.path.islink(directory.path):
                raise _in_the_way(directory.path, "a broken symbolic link", "directory") from None
            return Change(directory.path, created=True, after=f"directory {_said(directory)}\n")
        except NotADirectoryError:
            raise _in_the_way(os.path.dirname(directory.path), "not a directory", "directory") from None
        if not stat.S_ISDIR(status.st_mode):
            raise _in_the_way(directory.path, "not a directory", "directory")
        if _attributes_are(status, directory):
            return None
        return Change(
            directory.path,
            attributes=True,
            before=f"directory {_found(status)}\n",
            after=f"directory {_said(directory)}\n",
        )

    def _file_change(self, file: File) -> Change | None:
        try:
            status = os.lstat(file.path)
        except (FileNotFoundError, NotADirectoryError):
            return Change(file.path, content=True, created=True, after=_shown(file)) if file.present else None
        if stat.S_ISDIR(status.st_mode):
            raise _in_the_way(file.path, "a directory", "file")
        if not file.present:
            return Change(file.path, removed=True, before=self._shown_found(file, status))
        same_size = file.size in {status.st_size, UNKNOWN_SIZE}
        if (
            not stat.S_ISREG(status.st_mode)
            or not same_size
            or not file.sha256
            or self.digests.of(file.path) != file.sha256
        ):
            return Change(file.path, content=True, before=self._shown_found(file, status), after=_shown(file))
        if not _attributes_are(status, file):
            return Change(file.path, attributes=True, before=f"{_found(status)}\n", after=f"{_said(file)}\n")
        return None

    def _shown_found(self, file: File, status: os.stat_result) -> str:
        if file.secret:
            return "(secret)\n"
        if stat.S_ISLNK(status.st_mode):
            return f"(symbolic link to {os.readlink(file.path)})\n"
        if not stat.S_ISREG(status.st_mode):
            return "(not a regular file)\n"
        if status.st_size <= DIFF_BYTES:
            with open(file.path, "rb") as opened:
                text = _text(opened.read(DIFF_BYTES + 1))
            if text is not None:
                return text
        return f"({status.st_size} bytes, sha256 {self.digests.of(file.path)})\n"


def parse_mode(value: t.Any, default: int) -> int:
    """`"0600"`, `"600"` or the number that YAML makes of 0600, as permission bits.

    Raises:
        PlatformError: it is neither.
    """
    if value is None or value == "":
        return default
    if isinstance(value, int) and not isinstance(value, bool):
        mode = value
    elif isinstance(value, str) and re.fullmatch(r"0?o?[0-7]{3,4}", value):
        mode = int(value.replace("o", ""), 8)
    else:
        raise PlatformError(
            f"{value!r} is not a file mode.", next_step='Write it as four octal digits in quotes, such as mode: "0600".'
        )
    if not 0 <= mode <= 0o7777:
        raise PlatformError(
            f"{value!r} is not a file mode.", next_step='Write it as four octal digits in quotes, such as mode: "0600".'
        )
    return mode


def _file(entry: dict[str, t.Any]) -> File:
    path, secret, present = entry["path"], bool(entry.get("secret")), entry.get("state") != "absent"
    mode = parse_mode(entry.get("mode"), OUR_MODES["secret" if secret else "file"])
    content = entry.get("content")
    if present and secret and mode & 0o077:
        raise PlatformError(
            f"{path} is secret, but its mode {mode:04o} gives access to others than its owner.",
            next_step='Set its mode to "0600" or narrower.',
        )
    encoded = content.encode() if content is not None else None
    if not present:
        encoded = b""
    digest, size = entry.get("sha256") or "", int(entry.get("size") or 0)
    if encoded is not None:
        ours, size = hashlib.sha256(encoded).hexdigest(), len(encoded)
        if present and digest and digest != ours:
            raise PlatformError(
                f"The content for {path} has the checksum {ours}, but {digest} was asked for; nothing was changed.",
                next_step="Correct one of the two.",
            )
        digest = ours
    elif not digest and size != UNKNOWN_SIZE:
        raise PlatformError(f"{path} has neither content nor source.", next_step="Give one of them, or state: absent.")
    return File(
        path=path,
        content=encoded,
        sha256=digest,
        size=size,
        mode=mode,
        owner=entry.get("owner") or "root",
        group=entry.get("group") or "root",
        present=present,
        secret=secret,
    )


def _directory(entry: dict[str, t.Any]) -> Directory:
    mode = parse_mode(entry.get("mode"), OUR_MODES["directory"])
    return Directory(entry["path"], mode, entry.get("owner") or "root", entry.get("group") or "root")


def _check_paths(names: list[str]) -> None:
    for path in names:
        if not os.path.isabs(path) or os.path.normpath(path) != path.rstrip("/") or path == "/":
            raise PlatformError(
                f"{path!r} is not an absolute path in its shortest form.",
                next_step="Write it from / on, without ., .. and double slashes.",
            )
    twice = sorted({path for path in names if names.count(path) > 1})
    if twice:
        raise PlatformError(f"{', '.join(twice)} is listed twice.", next_step="List every path once.")


def _with_parents(directories: list[Directory], files: list[File]) -> list[Directory]:
    """All directories to check, parents first: the listed ones, and missing parents of files, which get the mode
    0755."""
    listed = {directory.path.rstrip("/"): directory for directory in directories}
    needed = [*listed, *(os.path.dirname(file.path) for file in files if file.present)]
    everything: dict[str, Directory] = {}
    for path in needed:
        above = [path]
        while os.path.dirname(above[-1]) not in {"/", above[-1]}:
            above.append(os.path.dirname(above[-1]))
        for name in reversed(above):
            if name in listed:
                everything.setdefault(name, listed[name])
            elif not os.path.isdir(name):
                everything.setdefault(name, Directory(name))
    return list(everything.values())


def _attributes_are(status: os.stat_result, wanted: File | Directory) -> bool:
    return (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (wanted.mode, *_identifiers(wanted))


def _identifiers(wanted: File | Directory) -> tuple[int, int]:
    """User and group id. Without root, files cannot be given to others, and "root" stands for the current user."""
    try:
        if os.geteuid() != 0 and (wanted.owner, wanted.group) == ("root", "root"):
            return os.geteuid(), os.getegid()
        return pwd.getpwnam(wanted.owner).pw_uid, grp.getgrnam(wanted.group).gr_gid
    except KeyError as error:
        raise PlatformError(
            f"{wanted.path}: this host has no user or group of that name: {error.args[0]}.",
            next_step="Create it first.",
        ) from error


def _said(wanted: File | Directory) -> str:
    return f"mode {wanted.mode:04o} owner {wanted.owner} group {wanted.group}"


def _found(status: os.stat_result) -> str:
    try:
        owner, group = pwd.getpwuid(status.st_uid).pw_name, grp.getgrgid(status.st_gid).gr_name
    except KeyError:
        owner, group = str(status.st_uid), str(status.st_gid)
    return f"mode {stat.S_IMODE(status.st_mode):04o} owner {owner} group {group}"


def _shown(file: File) -> str:
    if file.secret:
        return "(secret, new content)\n"
    if file.content is not None and len(file.content) <= DIFF_BYTES:
        text = _text(file.content)
        if text is not None:
            return text
    if file.size == UNKNOWN_SIZE:
        return f"(not downloaded yet, sha256 {file.sha256 or 'not known yet'})\n"
    return f"({file.size} bytes, sha256 {file.sha256})\n"


def _text(content: bytes) -> str | None:
    try:
        return None if b"\0" in content else content.decode()
    except UnicodeDecodeError:
        return None


def _difference(change: Change) -> dict[str, str]:
    after = "(absent)" if change.removed else change.path
    before = "(absent)" if change.created else change.path
    return {"before_header": before, "after_header": after, "before": change.before, "after": change.after}


def _in_the_way(path: str, what: str, wanted: str) -> PlatformError:
    cause = f"{path} is {what}, but must be a {wanted}; nothing was changed."
    return PlatformError(cause, next_step=f"See what it is (ls -ld {path}), and move it away.")


def _existing(path: str) -> str:
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    return path


def _check_space(files: list[File], *, partials_of: list[File]) -> None:
    """All new files must fit beside the old ones, since a file is replaced only when the new one is complete."""
    needed: dict[int, int] = {}
    where: dict[int, str] = {}
    spare: dict[int, int] = {}
    for file in files:
        directory = _existing(os.path.dirname(file.path))
        device = os.stat(directory).st_dev
        needed[device] = needed.get(device, 0) + file.size
        where.setdefault(device, directory)
        if file in partials_of:
            spare[device] = SPARE_BYTES
    for device, new in needed.items():
        size = new + spare.get(device, 0)
        system = os.statvfs(where[device])
        free = system.f_bavail * system.f_frsize
        if free < size:
            raise PlatformError(
                f"The file system of {where[device]} has {free / 2**20:.0f} MiB free, but {size / 2**20:.0f} MiB are "
                "needed; nothing was changed.",
                next_step="Free some space there (journalctl --vacuum-size=200M, k3s crictl rmi --prune, apt-get "
                "clean), or enlarge it.",
            )


@contextlib.contextmanager
def _explained() -> t.Iterator[None]:
    """Turns errors of the operating system into PlatformErrors."""
    try:
        yield
    except OSError as error:
        steps = {
            errno.ENOSPC: "Free some space on its file system (also inodes: df -i).",
            errno.EDQUOT: "Raise the quota, or free some space.",
            errno.EROFS: "Its file system is mounted read-only: see dmesg, and mount it read-write.",
            errno.EACCES: "Run the task with become: true.",
            errno.EPERM: "Run the task with become: true; if it is root already, lsattr shows whether the file is "
            "immutable.",
        }
        step = steps.get(
            error.errno or 0, "Correct that on the host, and run it again: what is done already stays done."
        )
        raise PlatformError(f"{error.filename or 'A file'}: {error.strerror}.", next_step=step) from error


def _make_directory(directory: Directory) -> None:
    with contextlib.suppress(FileExistsError):
        os.mkdir(directory.path, 0o700)
        _restore_context(directory.path)
    status = os.stat(directory.path)
    if not _attributes_are(status, directory):
        os.chown(directory.path, *_identifiers(directory))
        os.chmod(directory.path, directory.mode)


def _apply(file: File, change: Change) -> None:
    if change.removed:
        os.unlink(file.path)
    elif change.attributes:
        os.chown(file.path, *_identifiers(file))
        os.chmod(file.path, file.mode)
    else:
        partial = file.path + PARTIAL
        with contextlib.suppress(FileNotFoundError):
            os.unlink(partial)
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        try:
            with open(descriptor, "wb") as opened:
                opened.write(file.content or b"")
                _complete(opened, file)
            _rename(partial, file)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(partial)
            raise


def _complete(opened: t.IO[bytes], file: File) -> None:
    opened.flush()
    os.fchown(opened.fileno(), *_identifiers(file))
    os.fchmod(opened.fileno(), file.mode)
    os.fsync(opened.fileno())


def _rename(partial: str, file: File) -> None:
    os.rename(partial, file.path)
    _restore_context(file.path)
    directory = os.open(os.path.dirname(file.path), os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _restore_context(path: str) -> None:
    """Set the SELinux context that the policy has for this path. By default a new file gets that of its directory, and
    the policy of k3s names the binary."""
    if not os.path.exists("/sys/fs/selinux/enforce"):
        return
    program = shutil.which("restorecon")
    if program:
        subprocess.run([program, path], check=False, capture_output=True, timeout=30)


def _staged_elsewhere(file: File) -> str:
    digest = hashlib.sha256(file.path.encode()).hexdigest()[:16]
    return f"{STAGING_DIRECTORY}/{os.path.basename(file.path)}.{digest}{PARTIAL}"


def _remove_leftovers(file: File) -> None:
    for name in (file.path + PARTIAL, _staged_elsewhere(file)):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            os.unlink(name)


def _stage(file: File) -> str:
    """Make an empty file that the login user may write to, beside the target if that user can reach it. Returns its
    name.

    With `become`, files are transferred as the login user (SUDO_UID), who only needs access to the directory, not
    permissions in it.
    """
    login = int(os.environ.get("SUDO_UID") or os.geteuid()) if os.geteuid() == 0 else os.geteuid()
    directory = os.path.dirname(file.path)
    name = file.path + PARTIAL if login == os.geteuid() or _anybody_may_enter(directory) else _staged_elsewhere(file)
    with _explained():
        descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        try:
            if login != os.geteuid():
                os.fchown(descriptor, login, -1)
        finally:
            os.close(descriptor)
    return name


def _anybody_may_enter(directory: str) -> bool:
    while True:
        if not os.stat(directory).st_mode & stat.S_IXOTH:
            return False
        if directory == "/":
            return True
        directory = os.path.dirname(directory)


def _take_over(file: File, staged: str) -> None:
    """Take ownership of a transferred file, then check it: nobody else can change it afterwards."""
    with open(os.open(staged, os.O_RDONLY | os.O_NOFOLLOW), "rb") as opened:
        os.fchown(opened.fileno(), os.geteuid(), os.getegid())
        os.fchmod(opened.fileno(), 0o600)
        digest = sha256_of(opened)
    if digest != file.sha256:
        raise PlatformError(
            f"What arrived for {file.path} has the checksum {digest} instead of {file.sha256}; the file "
            "in place was not touched.",
            next_step="Run it again. If this happens again, disk, memory or network of this host are faulty.",
        )


def _move(staged: str, file: File) -> None:
    partial = file.path + PARTIAL
    if staged != partial:
        # This may be another file system, so the file is first copied beside the target; the last step is a rename.
        with contextlib.suppress(FileNotFoundError):
            os.unlink(partial)
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with open(descriptor, "wb") as target, open(staged, "rb") as source:
            shutil.copyfileobj(source, target, 2**20)
    with open(os.open(partial, os.O_RDWR | os.O_NOFOLLOW), "rb") as opened:
        _complete(opened, file)
    _rename(partial, file)
