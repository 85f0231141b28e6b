"""Free memory is that of the machine, of the innermost and the outermost control group, and of `ulimit -v`."""

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from spectral_search.train.free_memory import Memory, cgroup_limits, host_memory

GB = 1 << 30
V1_MOUNT = "35 31 0:32 {root} {mount} rw,relatime - cgroup cgroup rw,memory"
V2_MOUNT = "30 23 0:26 {root} {mount} rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate"


def make_proc(folder: Path, membership: str, mount_line: str, root: str = "/") -> tuple[Path, Path]:
    """Files in which a kernel tells of a process's groups, and where the hierarchy is mounted."""
    proc, mount = folder / "proc", folder / "a mount"
    (proc / "self").mkdir(parents=True)
    mount.mkdir()
    (proc / "self" / "cgroup").write_text(f"9:pids:/elsewhere\n{membership}\n")
    line = mount_line.format(root=root, mount=str(mount).replace(" ", "\\040"))
    (proc / "self" / "mountinfo").write_text(f"22 1 0:20 / /proc rw - proc proc rw\n{line}\n")
    return proc, mount


def group(folder: Path, version: int, limit: int | str, used: int, files: int = 0) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    names = ("memory.max", "memory.current") if version == 2 else ("memory.limit_in_bytes", "memory.usage_in_bytes")
    prefix = "" if version == 2 else "total_"
    for name, value in zip(names, (limit, used), strict=True):
        (folder / name).write_text(f"{value}\n")
    stat = f"anon 5\n{prefix}inactive_file {files // 2}\n{prefix}active_file {files - files // 2}\n"
    (folder / "memory.stat").write_text(stat)


def test_version_2_counts_every_group_above(tmp_path: Path) -> None:
    proc, mount = make_proc(tmp_path, "0::/slurm/job_7/step", V2_MOUNT)
    group(mount / "slurm", 2, 8 * GB, 5 * GB)
    group(mount / "slurm/job_7", 2, 4 * GB, 3 * GB, files=2 * GB)
    group(mount / "slurm/job_7/step", 2, "max", GB)
    assert list(cgroup_limits(proc)) == [Memory(3 * GB, 4 * GB), Memory(3 * GB, 8 * GB)]
    assert host_memory(proc).free <= 3 * GB
    assert host_memory(proc).total <= 4 * GB


def test_version_1_and_a_group_without_a_limit(tmp_path: Path) -> None:
    proc, mount = make_proc(tmp_path, "4:cpu,memory:/batch/7", V1_MOUNT)
    group(mount, 1, (1 << 63) - 4096, 9 * GB)
    group(mount / "batch", 1, 6 * GB, 7 * GB)
    group(mount / "batch/7", 1, 2 * GB, GB // 2)
    assert list(cgroup_limits(proc)) == [Memory(3 * GB // 2, 2 * GB), Memory(0, 6 * GB)]


def test_a_container_sees_its_own_group_as_the_root(tmp_path: Path) -> None:
    """The path is the host's and the mount shows what begins with the group itself."""
    proc, mount = make_proc(tmp_path, "4:memory:/docker/abc", V1_MOUNT, root="/docker/abc")
    group(mount, 1, 2 * GB, GB)
    assert list(cgroup_limits(proc)) == [Memory(GB, 2 * GB)]


def test_a_group_in_another_name_space(tmp_path: Path) -> None:
    proc, mount = make_proc(tmp_path, "0::/../../outside", V2_MOUNT)
    group(mount, 2, 2 * GB, GB)
    assert list(cgroup_limits(proc)) == [Memory(GB, 2 * GB)]


@pytest.mark.parametrize("broken", ["nothing", "damaged"])
def test_without_groups_the_machine_counts(tmp_path: Path, broken: str) -> None:
    proc, mount = make_proc(tmp_path, "0::/", V2_MOUNT)
    if broken == "damaged":
        (mount / "memory.max").write_text("much\n")
    assert list(cgroup_limits(proc)) == []
    assert host_memory(proc).total == psutil.virtual_memory().total


def test_ulimit_counts() -> None:
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))\n"
        "from spectral_search.train.free_memory import host_memory\n"
        "found = host_memory(); print(found.free, found.total)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    free, total = map(int, done.stdout.split())
    assert total == 1 << 30
    assert 0 < free < total
