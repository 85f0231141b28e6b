"""A shared pass in a process of its own: the one place on a device where its trials train.

Trials run ahead of what has been asked for, up to the next rung, so that the time the driver takes for their epochs is
not lost to training. A pass waits until all its trials have joined, and at a rung until each has been judged: what
ASHA decides does not depend on which trial's process was quicker.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import ray

from spectral_search.run.under_way import UnderWay, death_of

# A process that is given a handle of an actor imports the actor's module. Every trial has one of a pass and is to load
# neither torch nor what comes with it, so that what trains is imported by the pass itself.
if TYPE_CHECKING:
    from spectral_search.record.epoch_log import EpochRecord
    from spectral_search.run.ray_job import Job, TrialGauges
    from spectral_search.run.shared_pass import SharedPass
    from spectral_search.run.trial_session import Course, Step
    from spectral_search.strategy.space_points import Params

    Stored = list[ray.ObjectRef[Job]]
    """A reference to the job, wrapped so that Ray hands it on as it is."""
_JOIN_SECONDS = 5.0
"""How long a pass waits for trials that were announced and do not come."""
_START_SECONDS = 60.0
"""How long an epoch that may be a trial's last is kept for trials whose process is still starting."""


@dataclass
class Seat:
    """A trial's place in the pass.

    Attributes:
        told: The last epoch that the trial is known to have been told.
        steps: What it came to so far. Kept when asked for: whoever asked may have died before handing it on.
        held: Whether it waits for the verdict on a rung.
        over: Whether it has come to its end.
        up: Whether its process has asked for a step.
    """

    told: int
    steps: list[Step] = field(default_factory=list)
    held: bool = False
    over: bool = False
    up: bool = False

    def untold(self) -> list[Step]:
        """Steps after the last epoch that was told; the last step, whatever its epoch."""
        return [s for s in self.steps if s.done or (s.record is not None and s.record["epoch"] > self.told)]


class PassServer:
    """Trains the trials that joined, and answers what they ask.

    Whoever may be the first to call it brings `stored`: where the object store has what to train on. Ray would not keep
    that for a later start of this process, were it given at the first one.
    """

    _shared: SharedPass
    _course: Callable[[int, Params], Course]
    _gauges: TrialGauges

    def __init__(self) -> None:
        # Now rather than with the first trial: the driver may still be reading the spectra.
        from spectral_search.run import ray_job, shared_pass, trial_session

        self._make_pass, self._make_gauges = shared_pass.SharedPass, ray_job.TrialGauges
        self._make_course = trial_session.trial_course
        self._job: Job | None = None
        self._seats: dict[int, Seat] = {}
        self._expected = 0
        self._blamed: tuple[int, ...] = ()
        # Calls between two epochs, made where the epochs are trained: members change at epoch boundaries only.
        self._errands: list[Callable[[], object]] = []
        self._changed = asyncio.Condition()
        # Not on the loop, which has to answer pings and joins while an epoch trains.
        self._training = ThreadPoolExecutor(1)
        self._serving: asyncio.Task[None] | None = None

    async def join(self, stored: Stored, number: int, params: Params, settled: int, expected: int) -> None:
        """Let a trial join; `expected` trials will be there in all."""
        await self._seat(stored, number, params, settled)
        await self.expect(expected)

    async def leave(self, number: int, expected: int) -> None:
        """Let a trial go; `expected` will be there then."""
        if self._seats.pop(number, None) is not None:
            self._errands.append(lambda: self._shared.leave(number))
        await self.expect(expected)

    async def expect(self, expected: int) -> None:
        """Take note of how many trials will be there."""
        async with self._changed:
            self._expected = expected
            self._changed.notify_all()

    async def step(self, stored: Stored, number: int, params: Params, told: int) -> dict[str, Any]:
        """The epoch of a trial that follows the last it was told, as soon as there is one."""
        seat = await self._seat(stored, number, params, told)
        async with self._changed:
            seat.told, seat.up = told, True
            if not seat.untold():  # it was told of the rung and was not stopped
                seat.held = False
            self._changed.notify_all()
            await self._changed.wait_for(lambda: seat.untold() or self._failed())
        if not seat.untold():
            await self._serving_task()  # raises what ended it
        if (seat.held or seat.over) and len(seat.untold()) == 1:  # this is the epoch of the rung, or the last
            await self._all_up()
        return {**asdict(seat.untold()[0]), "mates": self._untold_of_others(number)}

    async def excuses(self, stored: Stored, number: int) -> bool:
        """Whether the death of the process before this one was another trial's: it trained others when it died."""
        if self._job is None:
            self._begin(await stored[0])
        return bool(self._blamed) and number not in self._blamed

    async def _seat(self, stored: Stored, number: int, params: Params, settled: int) -> Seat:
        if self._job is None:
            self._begin(await stored[0])
        self._serving_task()
        if number not in self._seats:
            self._seats[number] = Seat(settled)
            self._errands.append(lambda: self._shared.join(number, self._course(number, params), settled))
            async with self._changed:
                self._changed.notify_all()
        return self._seats[number]

    def _begin(self, job: Job) -> None:
        if self._job is not None:  # another call was faster
            return
        context = ray.get_runtime_context()
        # An actor that is started again keeps its id, and so finds what it left itself.
        left = job.paths.under_way(context.get_actor_id() or "pass")
        # Started again after a death that may have been for want of memory, it takes fewer members at a time: half of
        # them, and after another death one. Those that trained when it died are tried alone, which tells whose it was.
        death = death_of(left) if context.was_current_actor_reconstructed else None
        most = None if death is None else max(1, job.members // 2) if death.count == 1 else 1
        self._blamed = death.trials if death is not None else ()
        under_way = UnderWay(left, death.count if death is not None else 0)
        self._shared = self._make_pass(job.trainer, most, self._blamed, under_way)
        self._course = partial(self._make_course, job.spec, job.paths)
        self._gauges = self._make_gauges(job)
        # Last, since it stands for all of the above: where some of that raises, the next call tries again.
        self._job = job

    def _untold_of_others(self, number: int) -> list[tuple[int, list[EpochRecord]]]:
        """Epochs of the other trials, so that all that reach a rung together are recorded before one is judged."""
        return [
            (other, [step.record for step in seat.untold() if step.record is not None])
            for other, seat in self._seats.items()
            if other != number
        ]

    def _serving_task(self) -> asyncio.Task[None]:
        if self._serving is None:
            self._serving = asyncio.get_running_loop().create_task(self._serve())
        return self._serving

    def _failed(self) -> bool:
        return self._serving is not None and self._serving.done()

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._all_ready()
            # Swapped on the loop's thread, which alone adds errands, so that no lock is needed.
            errands, self._errands = self._errands, []
            steps = await loop.run_in_executor(self._training, self._advance, errands)
            async with self._changed:
                for number, step in steps.items():
                    self._deliver(number, step)
                self._changed.notify_all()

    def _advance(self, errands: list[Callable[[], object]]) -> dict[int, Step]:
        for errand in errands:
            errand()
        steps = self._shared.advance()
        for number, step in steps.items():
            if step.record is not None:
                best = self._shared.best_value(number, self._gauges.objective.val_name)
                self._gauges.show(number, step.record, best, step.members)
        for number in (number for number, step in steps.items() if step.done):
            self._shared.leave(number)
        return steps

    def _deliver(self, number: int, step: Step) -> None:
        seat = self._seats.get(number)
        if seat is None:  # it left while its epoch was trained
            return
        seat.steps.append(step)
        seat.over = step.done
        seat.held = not step.done and self._shared.at_rung(number)

    async def _all_up(self) -> None:
        """Wait until the processes of all trials are there, before one may be over.

        Ray Tune gives the process of a trial that is over to one whose own is still starting, and ends that.
        """
        async with self._changed:
            everyone = self._changed.wait_for(lambda: all(seat.up for seat in self._seats.values()))
            with suppress(TimeoutError):
                await asyncio.wait_for(everyone, _START_SECONDS)

    async def _all_ready(self) -> None:
        """Wait until every trial that is expected has joined and none waits for a verdict."""

        def ready() -> bool:
            live = [seat for seat in self._seats.values() if not seat.over]
            return bool(live) and not any(seat.held for seat in live)

        async with self._changed:
            await self._changed.wait_for(ready)
            try:
                everyone = self._changed.wait_for(lambda: ready() and len(self._seats) >= self._expected)
                await asyncio.wait_for(everyone, _JOIN_SECONDS)
            except TimeoutError:
                await self._changed.wait_for(ready)
