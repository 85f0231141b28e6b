"""Work by measured speed: of two unlike devices the faster one gets more trials, of equal ones each as many."""

import pytest

from spectral_search.run.pass_speeds import PassSpeeds, next_place

BUSY = [1, 1, 1]


def train(speeds: PassSpeeds, place: int, members: int, seconds: float) -> None:
    """An epoch of a pass, which each of its members tells."""
    for _ in range(members):
        speeds.record(place, members, seconds)


def filled(speeds: list[float], trials: int) -> list[int]:
    counts = [0] * len(speeds)
    for _ in range(trials):
        counts[next_place(counts, speeds)] += 1
    return counts


@pytest.mark.parametrize(
    ("speeds", "counts"),
    [([1.0, 1.0], [4, 4]), ([1.0, 0.96], [4, 4]), ([1.0, 0.5], [6, 2]), ([0.25, 1.0, 1.0], [0, 4, 4])],
)
def test_trials_go_where_they_wait_least(speeds: list[float], counts: list[int]) -> None:
    found = filled(speeds, 8)
    assert sum(found) == 8 and all(abs(one - other) <= 1 for one, other in zip(found, counts, strict=True))


def test_passes_are_compared_at_as_many_members() -> None:
    speeds = PassSpeeds(3)
    train(speeds, 0, 8, 1.0)
    train(speeds, 1, 2, 0.9)  # of a quarter of the members, which says nothing of the device
    assert speeds.speeds(BUSY) == [1.0, 1.0, 1.0]
    train(speeds, 1, 8, 2.0)
    assert speeds.speeds(BUSY) == [1.0, pytest.approx(0.75), 1.0]
    for _ in range(20):
        train(speeds, 1, 2, 0.9)
        train(speeds, 0, 2, 0.3)
    assert speeds.speeds(BUSY)[1] == pytest.approx((0.5 + 1 / 3) / 2)


def test_an_epoch_that_something_else_slowed_down_is_soon_forgotten() -> None:
    speeds = PassSpeeds(2)
    for place in (0, 1):
        train(speeds, place, 4, 1.0)
    train(speeds, 1, 4, 11.0)
    assert speeds.speeds(BUSY[:2])[1] == pytest.approx(1 / 4)
    for _ in range(12):
        train(speeds, 1, 4, 1.0)
    assert speeds.speeds(BUSY[:2])[1] > 0.95


def test_an_idle_pass_is_measured_again_after_a_while_and_a_busy_one_is_what_it_is() -> None:
    speeds = PassSpeeds(3)
    for place, seconds in enumerate((1.0, 1.0, 8.0)):
        train(speeds, place, 2, seconds)
    counts, epochs = [3, 3, 0], 0
    while next_place(counts, speeds.speeds(counts)) != 2:
        epochs += 1
        for place, members in enumerate(counts[:2]):
            train(speeds, place, members, 1.5)
    assert 10 < epochs < 50
    assert speeds.speeds([3, 3, 1])[2] == pytest.approx(1 / 8)
    train(speeds, 2, 1, 0.5)
    train(speeds, 0, 1, 0.5)
    train(speeds, 2, 2, 1.0)
    assert speeds.speeds([3, 3, 1])[2] > 1 / 8, "what slowed it down is over"
