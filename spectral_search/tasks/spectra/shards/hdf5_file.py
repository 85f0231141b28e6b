"""Opens an HDF5 file, and says in one sentence why it cannot be: the reason decides the cure."""

import errno
import os
import resource
import stat
from pathlib import Path

import h5py

from spectral_search.errors import RequestError

_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}
_FAILING = {errno.EIO, errno.ESTALE, errno.ENXIO, errno.ENODEV, errno.ETIMEDOUT, errno.EREMOTEIO, errno.EUCLEAN}
_CLOUD_POINTER = b"version https://git-lfs"


def open_hdf5(path: Path) -> h5py.File:
    """Opens a file for reading.

    Raises:
        RequestError: It cannot be opened; the sentence begins with the path, and says why and what to do.
    """
    _refuse_what_is_no_file(path)
    try:
        # best-effort: read-only network file systems often refuse the lock, and nothing is written here.
        return h5py.File(path, "r", locking="best-effort")
    except OSError as error:
        raise RequestError(f"{path}: {why_unreadable(path, error)}") from error


def why_unreadable(path: Path, error: OSError) -> str:
    """Says why a file could not be opened or read, and what to do, without naming it.

    Args:
        path: The file, which is looked at again.
        error: What HDF5 or the system raised.
    """
    return _system_reason(error) or _hdf5_reason(path, error)


def read_refusal(path: Path | str, what: str, error: OSError | RuntimeError) -> RequestError:
    """Says why something of an open file could not be read: a disk that fails is another matter than damaged bytes.

    Args:
        path: The file.
        what: What was being done, as the beginning of the sentence.
        error: What HDF5 or the system raised.
    """
    reason = _system_reason(error) if isinstance(error, OSError) else None
    if reason is not None:
        return RequestError(f"{path}: {what}: {reason}")
    return RequestError(f"{path}: {what} ({first_line(error)}); the file is damaged, copy or write it again.")


def first_line(error: BaseException) -> str:
    """The first line of an error's message, or the name of its type: HDF5 adds lines of addresses and buffers."""
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


def _refuse_what_is_no_file(path: Path) -> None:
    """Opening a pipe would wait for ever, and what HDF5 says of a folder is that it cannot be read."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        where = f", to which it is a link: {os.readlink(path)}" if path.is_symlink() else ""
        raise RequestError(f"{path}: no such file{where}; check the path.") from None
    except (OSError, ValueError) as error:  # ValueError: the name holds a null character
        reason = _system_reason(error) if isinstance(error, OSError) else None
        raise RequestError(f"{path}: {reason or f'cannot be opened ({error}); check the path.'}") from error
    if stat.S_ISDIR(mode):
        raise RequestError(f"{path} is a folder, not a shard; name the dataset.h5 inside it.")
    if not stat.S_ISREG(mode):
        raise RequestError(f"{path}: a pipe, socket or device, not a file; name a dataset.h5 in the shard format.")


def _system_reason(error: OSError) -> str | None:
    """What the system refused, by its error number; None where HDF5 itself found a fault."""
    number = error.errno
    if number is None:
        return None
    said = os.strerror(number)
    if number in (errno.EACCES, errno.EPERM):
        return "no permission to read the file; ask its owner or copy it."
    if number == errno.EAGAIN:
        return "another process is writing the file and has locked it; wait until it has finished, then try again."
    if number in _NO_LOCKS:
        return (
            f"the file system cannot lock the file ({said}); if no process is writing it, set "
            "HDF5_USE_FILE_LOCKING=FALSE in the environment and try again."
        )
    if number in (errno.EMFILE, errno.ENFILE):
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        return f"too many files are open at once (this process may have {limit:,}); raise the limit with ulimit -n."
    if number in _FAILING:
        return f"the disk or the network failed ({said}); check the disk or the mount, then try again."
    if number == errno.ENOENT:
        return "the file is gone; check the path."
    return f"the file cannot be read ({said}); check the path, or copy the file elsewhere."


def _hdf5_reason(path: Path, error: OSError) -> str:
    """What is wrong with the bytes of the file."""
    size, told = path.stat().st_size, first_line(error)
    if size == 0:
        return "the file is empty (0 bytes); copy or write it again."
    if "already open for write" in told or "SWMR" in told:
        return (
            "the file is marked as being written: wait if a process is writing it; if its writer was killed, write the "
            "file again, or, if nothing is missing in it, clear the mark with h5clear -s FILE."
        )
    if "truncated" in told:
        whole = told.rpartition("stored_eof = ")[2].rstrip(")")
        of = f" of {int(whole):,}" if whole.isdigit() else ""
        return f"the HDF5 file is truncated ({size:,}{of} bytes are there); copy or write it again."
    if h5py.is_hdf5(path):
        return f"the HDF5 file is damaged ({size:,} bytes; {told}); copy or write it again."
    with path.open("rb") as file:
        start = file.read(len(_CLOUD_POINTER))
    if start == _CLOUD_POINTER:
        return "only a Git LFS pointer, not the file itself; fetch it with git lfs pull."
    return f"not an HDF5 file ({size:,} bytes without an HDF5 signature); name a dataset.h5 in the shard format."
