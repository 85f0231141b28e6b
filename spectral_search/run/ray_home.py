"""Where Ray keeps its files on this machine: a session folder that its sockets fit into, and the token of its clusters.

Neither may depend on a home folder or on a short TMPDIR: a container's user often has no home, a job of Slurm no short
TMPDIR.
"""

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from spectral_search.errors import RequestError

SOCKET_BYTES = 107
"""Bytes that the address of a Unix socket has room for (sun_path of unix(7), without its final zero)."""
LONGEST_TAIL = "/session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store"
"""What Ray adds to its folder for a socket, with the longest process id that Linux gives."""
SHORT_ROOTS = (Path("/tmp"), Path("/var/tmp"), Path("/dev/shm"))
TOKEN, TOKEN_FILE = "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"
_REMEDY = "or use --executor inline, which needs no Ray."


def session_root(environ: Mapping[str, str] = os.environ) -> Path:
    """The folder that Ray would keep its sessions in."""
    return Path(environ.get("RAY_TMPDIR") or environ.get("TMPDIR") or "/tmp").absolute() / "ray"


def check_session_root() -> None:
    """Refuse to begin what Ray could not start for.

    Raises:
        RequestError: The folder of its sessions cannot be written.
    """
    root = session_root()
    try:
        _prove_writable(root)
    except OSError as error:
        raise RequestError(
            f"Ray cannot keep its session in {root} ({error.strerror}): set TMPDIR to a folder that you may write to, "
            f"{_REMEDY}"
        ) from error


@contextmanager
def session_folder() -> Iterator[Path]:
    """The folder for the sessions of one cluster.

    Where the usual one is so deep that the address of a socket in it would be too long, it is reached by a short link,
    so that what needs space still lies where TMPDIR says. Link and folder are removed at the end.

    Raises:
        RequestError: There is none that can be written.
    """
    check_session_root()
    root = session_root()
    if len(os.fsencode(f"{root}{LONGEST_TAIL}")) <= SOCKET_BYTES:
        yield root
        return
    short, deep = _short_folder(root), Path(tempfile.mkdtemp(prefix="ray-", dir=root))
    link = short / "s"
    try:
        link.symlink_to(deep, target_is_directory=True)
        yield link
    finally:
        shutil.rmtree(short, ignore_errors=True)
        shutil.rmtree(deep, ignore_errors=True)


def _short_folder(root: Path) -> Path:
    for parent in SHORT_ROOTS:
        with suppress(OSError):
            return Path(tempfile.mkdtemp(prefix="ray-", dir=parent))
    raise RequestError(
        f"{root} is too long for the sockets that Ray makes in it, and none of {', '.join(map(str, SHORT_ROOTS))} can "
        f"be written: set RAY_TMPDIR to a folder of at most {SOCKET_BYTES - len(LONGEST_TAIL) - len('/ray')} bytes, "
        f"{_REMEDY}"
    )


def _prove_writable(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
        pass


@contextmanager
def lent_home(environ: "os._Environ[str]" = os.environ) -> Iterator[None]:
    """Name a home folder where there is none: Ray Tune asks for one when it is imported, here and in each process.

    Nothing is written there.
    """
    try:
        Path.home()
    except RuntimeError:
        environ["HOME"] = str(session_root().parent)
        try:
            yield
        finally:
            del environ["HOME"]
    else:
        yield


def protect_token(environ: "os._Environ[str]" = os.environ) -> None:
    """Make the token of Ray's local clusters before Ray does: Ray's own is readable as the umask allows.

    It lies where Ray looks for it, in the home folder; where there is none, or none that can be written, it is passed
    on in the environment, which others cannot read either.
    """
    if environ.get(TOKEN) or environ.get(TOKEN_FILE):
        return
    try:
        token = Path.home() / ".ray" / "auth_token"
        token.parent.mkdir(mode=0o700, exist_ok=True)
        with suppress(FileExistsError):
            descriptor = os.open(token, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_hex(32))
        with suppress(OSError):
            token.chmod(0o600)
        if token.read_text().strip():
            return
    except (OSError, RuntimeError):  # no home folder, none that can be written, or a token of somebody else
        pass
    environ[TOKEN] = secrets.token_hex(32)
