"""Memory that this process may still take: of the machine, of the control groups it is in, and of `ulimit -v`.

A container or a batch job usually sees the whole machine's memory and is killed at its own limit, which only its
control groups tell. Imports no torch, so that a dry run can ask.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import psutil

try:
    import resource
except ImportError:  # not there on Windows
    resource = None  # type: ignore[assignment]

_NO_LIMIT = 1 << 62
"""Version 1 writes a limit near 2^63 where there is none."""


@dataclass(frozen=True)
class Memory:
    """Bytes of one device.

    Attributes:
        free: That may be taken now.
        total: That there are, or that this process may have, when nothing else takes any.
    """

    free: int
    total: int

    def least(self, other: "Memory") -> "Memory":
        """Where both bounds hold."""
        return Memory(min(self.free, other.free), min(self.total, other.total))


def host_memory(proc: Path = Path("/proc")) -> Memory:
    """The host's memory, as far as this process may take it.

    Args:
        proc: Where the kernel tells of itself.
    """
    machine = psutil.virtual_memory()
    found = Memory(int(machine.available), int(machine.total))
    for limit in (*cgroup_limits(proc), *_address_space()):
        found = found.least(limit)
    return found


def cgroup_limits(proc: Path = Path("/proc")) -> Iterator[Memory]:
    """Each limit that a control group of this process sets, or one above it: none outside of Linux."""
    with suppress(OSError):
        memberships = (proc / "self" / "cgroup").read_text().splitlines()
        for mount, root, unified in _mounts((proc / "self" / "mountinfo").read_text()):
            for folder in _folders(memberships, mount, root, unified):
                with suppress(OSError, ValueError):
                    if (limit := _limit(folder, unified)) is not None:
                        yield limit


def _mounts(mountinfo: str) -> Iterator[tuple[Path, PurePosixPath, bool]]:
    """Where hierarchies that may limit memory are mounted, which part of each, and whether it is version 2."""
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        # What comes just before the dash varies in number: the fields that are read lie before that.
        fields, (kind, *rest) = before.split(), after.split() or [""]
        if kind == "cgroup2" or (kind == "cgroup" and "memory" in rest[-1].split(",")):
            yield Path(_unescaped(fields[4])), PurePosixPath(_unescaped(fields[3])), kind == "cgroup2"


def _unescaped(path: str) -> str:
    """A path as it is: mountinfo writes spaces and the like as octal numbers."""
    return path.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")


def _folders(memberships: list[str], mount: Path, root: PurePosixPath, unified: bool) -> Iterator[Path]:
    """This process's group in a hierarchy and all that it lies in, as far up as can be seen here."""
    for line in memberships:
        _, controllers, path = line.split(":", 2)
        if controllers == "" if unified else "memory" in controllers.split(","):
            own = PurePosixPath(path)
            # In a container the mount shows a part of the hierarchy: the group's path begins with that part's.
            inside = own.relative_to(root) if own.is_relative_to(root) else PurePosixPath(*own.parts[1:])
            for part in (inside, *inside.parents):
                if ".." not in part.parts:
                    yield mount / part


def _limit(folder: Path, unified: bool) -> Memory | None:
    """A group's limit; None where it sets none."""
    names = ("memory.max", "memory.current") if unified else ("memory.limit_in_bytes", "memory.usage_in_bytes")
    text = (folder / names[0]).read_text().strip()
    if text == "max" or int(text) >= _NO_LIMIT:
        return None
    total, used = int(text), int((folder / names[1]).read_text())
    return Memory(max(0, total - max(0, used - _reclaimable(folder, unified))), total)


def _reclaimable(folder: Path, unified: bool) -> int:
    """Pages of files that were read: they count as used, and are dropped when memory is wanted."""
    # Version 1 counts the groups within a group only under names that begin so.
    prefix = "" if unified else "total_"
    with suppress(OSError, ValueError):
        lines = [line.split() for line in (folder / "memory.stat").read_text().splitlines()]
        known = {name: int(value) for name, value in lines}
        return known.get(f"{prefix}inactive_file", 0) + known.get(f"{prefix}active_file", 0)
    return 0


def _address_space() -> Iterator[Memory]:
    """What `ulimit -v` leaves this process, if anything limits it."""
    if resource is not None:
        soft, _ = resource.getrlimit(resource.RLIMIT_AS)
        if soft != resource.RLIM_INFINITY:
            yield Memory(max(0, soft - psutil.Process().memory_info().vms), soft)
