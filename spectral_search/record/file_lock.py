"""Locks on files (flock): the system lets go of them when their process ends, however it ends, so that none is left.

The file of a lock stays. Were it removed, a process that has it open and one that makes it anew could both hold a lock.
"""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Literal

LockState = Literal["held", "taken", "none"]
"""Of a lock that was asked for: this process has it, another one has it, or the file system has no locks."""
_LOCKLESS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)


def open_to_lock(path: Path, *, makes: bool = True) -> int:
    """Open a file for its lock; a descriptor, which no process that this one starts inherits.

    Args:
        path: The file.
        makes: Whether it is made if it is not there.

    Raises:
        OSError: It cannot be opened.
    """
    # To write, since NFS gives an exclusive lock on no other descriptor.
    return os.open(path, os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if makes else 0), 0o644)


def take_lock(file: int | IO[bytes], *, shared: bool = False, waits: bool = False) -> LockState:
    """Ask for the lock of an open file; closing the file lets go of it.

    Args:
        file: The file, or its descriptor.
        shared: Whether others may share it, rather than none.
        waits: Wait as long as another process has it.

    Raises:
        OSError: The system answered neither yes nor no.
    """
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if waits else fcntl.LOCK_NB))
    except BlockingIOError:
        return "taken"
    except OSError as error:
        if error.errno not in _LOCKLESS:
            raise
        return "none"
    return "held"


@contextmanager
def lock_of(path: Path, *, shared: bool = False, waits: bool = False) -> Iterator[LockState]:
    """Ask for the lock of a file, which is made if it is not there; where it is given, it is held during the block.

    Args:
        path: The file.
        shared: As of `take_lock`.
        waits: Likewise.

    Raises:
        OSError: The file cannot be opened, or the system answered neither yes nor no.
    """
    descriptor = open_to_lock(path)
    try:
        yield take_lock(descriptor, shared=shared, waits=waits)
    finally:
        os.close(descriptor)
