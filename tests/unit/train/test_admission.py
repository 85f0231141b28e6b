"""Who is let in beside whom, and that nothing is allocated for those who are not."""

import gc
from collections.abc import Callable

import pytest
import torch
from small_dataset import small_dataset, trial_config

from spectral_search.errors import RequestError
from spectral_search.train import trainer as training
from spectral_search.train.admission import Admission, NoRoomError, TooLargeError
from spectral_search.train.capacity import footprint, together
from spectral_search.train.free_memory import Memory
from spectral_search.train.trainer import Trainer

CPU = torch.device("cpu")
PIXELS = 1000
MB = 1_000_000
WIDE = trial_config({"kind": "mlp", "hidden": [2000, 1000]}, {"batch_size": 64})
SMALL = trial_config({"kind": "mlp", "hidden": [16]}, {"batch_size": 64})


def admission(free: float, total: float, *, allow: bool = False) -> Admission:
    return Admission(CPU, 512, PIXELS, lambda device: Memory(int(free), int(total)), allow)


def test_what_fits_is_let_in_and_what_does_not_is_told_its_size() -> None:
    peak = footprint(WIDE, PIXELS, examples=512).peak
    admission(peak, peak).check(WIDE)
    with pytest.raises(TooLargeError, match=r"This mlp needs about 1\d\d MB to train .* and this machine has 80 MB"):
        admission(80 * MB, 80 * MB).check(WIDE)
    with pytest.raises(NoRoomError, match=r"80 MB of 800 MB are free on this machine: make model.hidden smaller; .*"):
        admission(80 * MB, 800 * MB).check(WIDE)
    admission(80 * MB, 80 * MB).check(SMALL)
    admission(80 * MB, 80 * MB, allow=True).check(WIDE)


def test_one_can_never_pass_and_the_other_may() -> None:
    """The first is not tried again; the second is, as all that lacks memory for the moment."""
    assert issubclass(TooLargeError, RequestError)
    assert issubclass(NoRoomError, MemoryError) and not issubclass(NoRoomError, RequestError)


def test_those_beside_it_count_with_what_they_have_yet_to_take() -> None:
    one = footprint(WIDE, PIXELS, examples=512)
    both = together([one, one])
    fresh, begun = [(WIDE, False)], [(WIDE, True)]
    admission(both, 10 * both).check(WIDE, lambda: fresh)
    with pytest.raises(NoRoomError, match="with what those beside it have yet to take"):
        admission(both - 1, 10 * both).check(WIDE, lambda: fresh)
    # What has trained already holds its state, which is therefore not free any more.
    admission(both - one.state, 10 * both).check(WIDE, lambda: begun)


def test_members_of_a_pass_take_their_own_parts_and_share_the_rest() -> None:
    mlp = footprint(WIDE, PIXELS)
    cnn = footprint(trial_config({"kind": "cnn", "channels": [8]}), PIXELS)
    assert together([mlp] * 8) == 8 * mlp.state + max(8 * mlp.step + mlp.inputs, mlp.save)
    assert together([cnn] * 8) == 8 * cnn.state + max(cnn.step + cnn.inputs, cnn.save)
    assert together([cnn], gpu=True) == cnn.state + cnn.step + cnn.inputs
    assert together([]) == 0


def test_a_ridge_and_a_batch_larger_than_the_set_are_considered() -> None:
    ridge = trial_config({"kind": "mlp", "hidden": [16]}, {"target": "ridge_residual"})
    assert footprint(ridge, PIXELS).inputs == 28 * PIXELS**2
    huge = trial_config({"kind": "mlp", "hidden": [16]}, {"batch_size": 100_000})
    assert footprint(huge, PIXELS, examples=600) == footprint(
        trial_config({"kind": "mlp", "hidden": [16]}, {"batch_size": 600}), PIXELS
    )


def test_a_trainer_asks_before_it_allocates(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = Trainer(small_dataset(64, 32), CPU)
    monkeypatch.setattr(training, "Network", None)  # not to be reached
    with pytest.raises(TooLargeError):
        trainer.member(0, trial_config({"kind": "mlp", "hidden": [65536] * 16}))


def test_a_member_that_left_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = Trainer(small_dataset(64, 32), CPU)
    beside: list[int] = []

    def check(self: Admission, config: object, members: Callable[[], list[object]]) -> None:
        gc.collect()  # as the sound one does before it refuses
        beside.append(len(members()))

    monkeypatch.setattr(Admission, "check", check)
    first, second = (trainer.member(number, SMALL) for number in range(2))
    trainer.run_epoch([first, second])
    assert first.has_stepped
    del first, second
    trainer.member(2, SMALL)
    assert beside == [0, 1, 0]
