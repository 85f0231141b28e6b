"""Paths and hosts that people name, files that commands leave: refused in a sentence before the work, not after it."""

import errno
import grp
import ipaddress
import os
import pwd
import re
import secrets
import shlex
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from urllib.parse import parse_qsl, urlsplit

from spectral_search.errors import RequestError, RunError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Errors of a disk, a quota or a file size limit that is used up."""
UNWRITABLE = (*FULL, errno.EROFS, errno.EACCES, errno.EPERM)
"""Errors of a place that takes no file, whatever the file."""
_URL = re.compile(r"[a-z][a-z0-9+.-]+://")
_STORE = "s3://"
_STORE_QUERY = ("endpoint_override", "region", "scheme")
"""What may follow a ? in the URL of an object store: where it is, and nothing that opens it."""
_BLOCK = bytes(4096)
"""What a try writes: a full disk still makes files, and only has no room for what they hold."""


def given_path(text: str | os.PathLike[str], what: str) -> Path:
    """A path as somebody gave it, with ~ expanded.

    Args:
        text: The path.
        what: What gave it, such as "--results".

    Raises:
        RequestError: It is empty, no text, a URL, or in a home folder that is not there.
    """
    if not os.fspath(text):
        raise RequestError(f"{what} is empty: name a path, or leave it out.")
    if (url := _URL.match(os.fspath(text))) is not None:
        raise RequestError(
            f"{what} is a URL ({url[0]}...), and only data are read from one, which begins with {_STORE}: mount it, or "
            "copy it."
        )
    path = require_text(Path(text))
    try:
        return path.expanduser()
    except RuntimeError:
        # A folder may be called ~name where nobody is.
        if path.exists():
            return path
        raise RequestError(
            f"{path} cannot be found, since there is no home folder {path.parts[0]}: write the path in full, or set "
            "HOME."
        ) from None


def given_root(text: str, what: str) -> str:
    """Where data are, as somebody gave it and as records keep it: a path made absolute, or the URL of an object store.

    Args:
        text: The path or the URL.
        what: What gave it, such as "--data-root".

    Raises:
        RequestError: See `given_path` and `store_place`.
    """
    if not is_store_url(text):
        return str(given_path(text, what).absolute())
    store_place(text, what)
    return text


def is_store_url(text: str | os.PathLike[str]) -> bool:
    """Whether a text names a place in an object store (Amazon S3 and what speaks its protocol)."""
    return os.fspath(text).startswith(_STORE)


def store_place(url: str, what: str) -> PurePosixPath:
    """Bucket and key of the URL of an object store, s3://BUCKET/KEY?endpoint_override=HOST:PORT&scheme=http.

    Args:
        url: The URL.
        what: What gave it, such as "--data-root".

    Raises:
        RequestError: It names no bucket, holds what opens a store, or says what nobody reads.
    """
    try:
        parts = urlsplit(url)
    except ValueError:  # a bracket that is left open, say
        raise RequestError(
            f"{what} is no URL of an object store: write {_STORE}BUCKET or {_STORE}BUCKET/FOLDER."
        ) from None
    queries = [key for key, _ in parse_qsl(parts.query, keep_blank_values=True)]
    # A secret may hold a /, which ends the part of a URL that it stands in: what is left there then is `KEY:...`.
    has_user = "@" in parts.netloc + parts.query or (":" in parts.netloc and "@" in url)
    if has_user or any("key" in name.lower() or "token" in name.lower() for name in queries):
        # Not quoted: it would be repeated in logs.
        raise RequestError(
            f"{what} is a URL with keys in it, which records and logs would repeat: put them into AWS_ACCESS_KEY_ID "
            "and AWS_SECRET_ACCESS_KEY, or into ~/.aws/credentials."
        )
    if unknown := [name for name in queries if name not in _STORE_QUERY]:
        raise RequestError(
            f"{what}: {_STORE} URLs take {', '.join(_STORE_QUERY)} after the ?, and no {', '.join(unknown)}."
        )
    if ":" in parts.netloc:
        raise RequestError(
            f"{what} names no bucket after {_STORE}: the address of a store goes into AWS_ENDPOINT_URL, or behind it: "
            f"{_STORE}BUCKET/FOLDER?{_STORE_QUERY[0]}=HOST:PORT."
        )
    place = PurePosixPath(parts.netloc) / parts.path.strip("/")
    if not parts.netloc or parts.fragment or ".." in place.parts or set("*[") & set(parts.path):
        raise RequestError(f"{what}: write {_STORE}BUCKET or {_STORE}BUCKET/FOLDER, without patterns.")
    return place


def require_text(path: Path) -> Path:
    """Return a path that a record, a table and a database can name.

    Raises:
        RequestError: It holds bytes that are no UTF-8, or a NUL.
    """
    name = str(path)
    if "\0" in name:
        raise RequestError(f"The path {name!r} holds a NUL, which no file name does: name another.")
    try:
        name.encode()
    except UnicodeEncodeError:
        raise RequestError(
            f"The path {_readable(name)} holds bytes that are not UTF-8, and the records of a run are: rename it."
        ) from None
    return path


def _readable(text: str) -> str:
    """Text that any terminal takes: bytes that are no UTF-8, as they come from the system, are written as \\xff."""
    return text.encode(errors="surrogateescape").decode(errors="backslashreplace")


def require_own(path: Path) -> None:
    """Refuse to take a file, or what lies in a folder, for one's own where others may write to it.

    What is there decides what is computed, and a task that a spec names by its file is code. A group that is one
    user's own, as most systems make it, is no other.

    Args:
        path: The file or folder; one that is not there is nobody's.

    Raises:
        RequestError: Others may write there; says what to do.
    """
    try:
        found = path.stat()
    except OSError:
        return
    if found.st_uid not in (os.getuid(), 0):
        raise RequestError(f"{path} belongs to another user, who may change what runs: choose a folder of your own.")
    # In a folder with the sticky bit, others may put something, and neither rename nor replace what is there.
    is_sticky = stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX
    if found.st_mode & stat.S_IWOTH and not is_sticky:
        who = "Everybody"
    elif found.st_mode & stat.S_IWGRP and not is_sticky and _is_shared(found.st_gid):
        who = "A group of several"
    else:
        return
    remedy = f"`chmod -R go-w {shlex.quote(str(path))}`, or choose another folder"
    raise RequestError(f"{who} may write to {path} and so change what runs: {remedy}.")


def _is_shared(gid: int) -> bool:
    """Whether a group may have more members than this user: all but the one that bears the user's name."""
    if gid != os.getgid():
        return True
    try:
        group = grp.getgrgid(gid)
    except KeyError:  # a group without a name has no other members that this system knows
        return False
    # Whose first group it is does not stand among its members.
    return group.gr_name != _user_name() or bool(set(group.gr_mem) - {_user_name()})


@contextmanager
def owner_writes() -> Iterator[None]:
    """Let what is written during the block be its owner's alone to change, whatever the umask."""
    before = os.umask(0o077)
    os.umask(before | 0o022)
    try:
        yield
    finally:
        os.umask(before)


def _user_name() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return ""


def is_loopback(host: str) -> bool:
    """Whether a host, by number or by name, is this machine and reached from it alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def partial_name(path: Path) -> Path:
    """A name beside a file, free and hidden, to write it under until it is whole."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")


def require_output(path: Path, *, makes_folders: bool = False) -> None:
    """Refuse an output before the work that fills it.

    It is tried for real, under the kind of name that it is first written under: permissions alone know nothing of
    /proc, quotas, full disks, names that are too long, or file systems mounted to be read.

    Args:
        path: The file.
        makes_folders: Whether its folder is made if it is not there.

    Raises:
        RequestError: It cannot be written there.
        RunError: The disk is full.
    """
    require_text(path)
    with writing(path):
        if path.is_dir():
            raise RequestError(f"{path} is a folder: name a file in it.")
        if path.exists() and not path.is_file():
            # Files are replaced as a whole, and a device or a pipe cannot be.
            raise RequestError(f"{path} is no plain file: name another.")
        folder = path.absolute().parent
        if folder.is_dir():
            _try(partial_name(folder / path.name))
        elif makes_folders:
            try_folder(folder)
        else:
            raise RequestError(f"The folder {folder} is not there: make it, or name another file.")


def require_folder(folder: Path) -> None:
    """Refuse a folder of outputs before the work that fills it; it is made later if it is not there.

    Raises:
        RequestError: It cannot be written.
        RunError: The disk is full.
    """
    require_text(folder)
    with writing(folder):
        try_folder(folder)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    # Without this a power cut can lose the file's name although its bytes reached the disk.
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def try_folder(folder: Path) -> None:
    """Write a file into a folder and remove it; where there is none yet, into the nearest that there is.

    Raises:
        OSError: It cannot be written.
    """
    _try(partial_name(nearest_folder(folder) / "spectral-search"))


def nearest_folder(folder: Path) -> Path:
    """A folder if it is there, else the nearest above it that is.

    Raises:
        NotADirectoryError: A file is in its place.
    """
    there = next(path for path in (folder, *folder.absolute().parents) if os.path.lexists(path))
    if not there.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, f"{there} is a file")
    return there


def _try(file: Path) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as opened:
            opened.write(_BLOCK)
            opened.flush()
            os.fsync(opened.fileno())
    finally:
        os.unlink(file)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Tell in a sentence what keeps a file or a folder from being written.

    Raises:
        RunError: The disk is full.
        RequestError: Anything else that the system says.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error).partition("\n")[0]
        if error.errno in FULL:
            raise RunError(f"{path} cannot be written ({reason}): free some space, or choose another place.") from error
        raise RequestError(f"{path} cannot be written ({reason}): choose another place.") from error
