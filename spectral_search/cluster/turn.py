"""Waiting for one's turn: a job's own process looks at the records of the others. No server keeps a queue."""

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from spectral_search.cluster.claims import Claim, left_over
from spectral_search.cluster.job_record import JobRecord
from spectral_search.cluster.standing import Standing, standing, standings
from spectral_search.record.file_lock import lock_of
from spectral_search.record.manifest import Manifest
from spectral_search.record.paths import RunPaths, queue_lock
from spectral_search.record.run_records import run_state
from spectral_search.record.wording import size
from spectral_search.run.cluster_slots import KINDS, Node, NoNodeError, claim_of, total
from spectral_search.train.devices import Slots

_LOOK_SECONDS = 2.0
_LOOK_AGAIN_SECONDS = 20.0
"""How often the cluster itself is asked, as long as the records beside say nothing new."""
_STARTING_SECONDS = 120.0
"""So long a job that was submitted earlier is waited for that has no process yet."""


def wait_until(
    reason: Callable[[], str | None], job: JobRecord, paths: RunPaths, sleep: Callable[[float], None] = time.sleep
) -> None:
    """Wait as long as there is a reason to, and keep it in the job's record.

    Args:
        reason: What is waited for; None when it is the job's turn.
        job: Its record.
        paths: Its run.
        sleep: Waits so many seconds.
    """
    while (why := reason()) is not None:
        if job.enter("waiting", why):
            job.save(paths)
            print(f"{job.name} waits {why}", flush=True)
        sleep(_LOOK_SECONDS)


def unfinished(job: JobRecord, paths: RunPaths) -> str | None:
    """The first of the jobs or runs that must have finished before, and has not; None where all have."""
    for name in job.after:
        before = RunPaths(paths.root, name)
        state, why, address = _state_of(before)
        if state != "finished":
            again = f"`resume {name}{f' --address {address}' if address else ''}`"
            reason = f" ({why.rstrip('.')})" if why else ""
            told = {
                "failed": f"failed{reason}: {again} when that is mended",
                "stopped": f"was stopped: {again}",
                "interrupted": f"was interrupted: {again}",
                "lost": f"is gone without a word: {again}",
                "gone": "is not there any more: `stop` this one",
            }.get(state, f"is {state}")
            return f"for {name}, which {told}"
    return None


def _state_of(paths: RunPaths) -> tuple[str, str | None, str | None]:
    """What a job or a run is doing, why, and where its cluster takes jobs."""
    if paths.job_json.is_file():
        found = standing(paths)
        return found.state, found.why, found.job.address
    if not paths.exists():
        return "gone", None, None
    return run_state(Manifest.load(paths.manifest_json), paths, time.time()), None, None


class Room:
    """Waits for room on a cluster behind those who were there before, and takes it.

    Args:
        job: Its record, with the cluster.
        paths: Its run.
        look: Each node with what it has, and what nobody uses of all together.
        share: What the search gets of so many nodes, of which so much is left. It raises NoNodeError where that is
            not enough for one trial.
        clock: Seconds.
    """

    def __init__(
        self,
        job: JobRecord,
        paths: RunPaths,
        look: Callable[[], tuple[Mapping[str, Node], Node]],
        share: Callable[[Sequence[Node], Sequence[Node]], Slots],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.left: list[dict[str, float]] = []
        """What the search may use of each node, once there is room."""
        self._job, self._paths, self._look, self._share, self._clock = job, paths, look, share, clock
        self._seen: list[Claim] | None = None
        self._again, self._fitted = 0.0, False

    def reason(self) -> str | None:
        """What the job waits for; None when it has taken its room.

        Raises:
            NoNodeError: There could not be room even if nobody else used the cluster, nor could when it was last asked.
        """
        # Written down with the next reason to wait: of those that wait, only a queued job holds up the ones behind it.
        self._job.queued = True
        # One process at a time looks for room and takes it. On a file system without locks two that look at once may
        # both find room, and Ray's own queue settles it.
        with lock_of(queue_lock(self._paths.root), waits=True):
            others = [one for one in standings(self._paths.root) if one.paths.name != self._paths.name]
            if (ahead := self._ahead(others)) is not None:
                self._seen = None
                return f"behind {ahead.job.name}, which was submitted before and waits too"
            users = [one for one in others if one.state == "running" and one.job.cluster == self._job.cluster]
            claims: list[Claim] = [one.job.claim for one in users]
            if claims == self._seen and self._clock() < self._again:
                return self._job.why
            self._seen, self._again = claims, self._clock() + _LOOK_AGAIN_SECONDS
            nodes, unused = self._look()
            left = left_over(nodes, claims, unused)
            try:
                # Of the empty cluster first: what could never fit must fail here, rather than wait for ever.
                self._share(list(nodes.values()), list(nodes.values()))
                self._fitted = True
            except NoNodeError as error:
                if not self._fitted:
                    raise
                # A node that died may come back, as those of an autoscaler do.
                return f"for a node: none that lives has enough for a trial ({error.asked} on one node) any more"
            try:
                slots = self._share(list(nodes.values()), list(left.values()))
            except NoNodeError as error:
                return _told(nodes, left, error.asked, [one.job.name for one in users if one.job.claim])
            self.left, self._job.claim = list(left.values()), claim_of(slots, left)
            self._job.queued = False
            # Saved while the lock is held: whoever looks next must see this claim, or both would take the same room.
            self._job.enter("running")
            self._job.save(self._paths)
            return None

    def _ahead(self, others: Sequence[Standing]) -> Standing | None:
        """Who stands before this job in the queue for the same cluster."""
        mine = standing(self._paths).rank
        return next((one for one in others if one.rank < mine and self._waits_too(one)), None)

    def _waits_too(self, one: Standing) -> bool:
        if one.state == "waiting":
            return one.job.queued and one.job.cluster == self._job.cluster
        # Until its process writes, a job's record names no cluster but the address it went to alone.
        if one.state != "submitted" or one.job.address != self._job.address or one.job.after:
            return False
        return (datetime.now(UTC) - datetime.fromisoformat(one.job.submitted_at)).total_seconds() < _STARTING_SECONDS


def _told(nodes: Mapping[str, Node], left: Mapping[str, Node], asked: str, users: Sequence[str]) -> str:
    """That there is no room, what there is, and what a trial asks for."""
    had, free = total(nodes.values()), total(left.values())
    what = " and ".join(_free_of(kind, free[kind], had[kind]) for kind in KINDS if had[kind])
    by = f"{', '.join(users)} use{'s' if len(users) == 1 else ''} the rest" if users else "others use the rest"
    return f"for room: {what} of the cluster are free, too little for a trial ({asked} on one node); {by}"


def _free_of(kind: str, free: float, had: float) -> str:
    return f"{size(free)} of {size(had)} memory" if kind == "memory" else f"{free:g} of {had:g} {kind}s"
