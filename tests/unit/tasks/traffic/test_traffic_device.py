"""What networks read of windows, and what they learn: nothing from after the origin, nothing that is not known."""

import numpy as np
import pytest
import torch

from spectral_search.spec.run import RunSpec
from spectral_search.task.training import Wanted
from spectral_search.tasks.traffic.readings import Readings, Windows, split
from spectral_search.tasks.traffic.road_simulator import simulate_roads
from spectral_search.tasks.traffic.section import HORIZON, TrafficInput
from spectral_search.tasks.traffic.traffic_device import Series, TrafficOnDevice, TrafficSet
from spectral_search.tasks.traffic.traffic_scale import TrafficScale
from spectral_search.train.trainer import Trainer

CPU = torch.device("cpu")
SPEC = RunSpec.from_dict({"stage": "some", "task": "traffic", "model": {"kind": "shared_mlp"}})
READINGS = simulate_roads(days=3, roads=2)
PARTS = split(READINGS, SPEC.data, 12)
SCALE = TrafficScale.of(PARTS)


def on_device() -> TrafficOnDevice:
    return TrafficOnDevice(TrafficSet(PARTS.windows["train"], PARTS.windows["val"], SCALE), CPU)


@pytest.mark.parametrize("steps", [12, 24])
@pytest.mark.parametrize("time", ["none", "day", "week"])
@pytest.mark.parametrize("told", [False, True])
def test_inputs_have_the_shape_that_the_section_says(steps: int, time: str, told: bool) -> None:
    given = TrafficInput(steps=steps, time=time, known=told, usual=told)  # type: ignore[arg-type]
    x_BCL = Series(READINGS, SCALE, CPU).inputs(torch.tensor([40, 50, 60]), given)
    assert x_BCL.shape == (3, given.channels, given.length(len(READINGS.sensors)))
    assert torch.isfinite(x_BCL).all()


def test_rows_are_sensors_in_the_order_of_time() -> None:
    x_CST = Series(READINGS, SCALE, CPU).inputs(torch.tensor([40]), TrafficInput(time="week"))[0].unflatten(-1, (6, 12))
    target = SCALE.target
    np.testing.assert_allclose(
        target.restore(x_CST[0]).T, np.nan_to_num(READINGS.filled_TS[28:40], nan=target.mean), rtol=1e-5
    )
    np.testing.assert_array_equal(x_CST[1].T, np.isfinite(READINGS.values_TS[28:40]))
    np.testing.assert_allclose(x_CST[2:, 0].T, READINGS.clock_T4[28:40])
    assert (x_CST[2:, :1] == x_CST[2:]).all()


@pytest.mark.parametrize("given", [TrafficInput(), TrafficInput(steps=24, usual=True)])
def test_nothing_that_is_read_comes_from_after_the_origin(given: TrafficInput) -> None:
    """The usual readings, which are of later times of day, come from the training time."""
    origin, later_TS = 500, READINGS.values_TS.copy()
    later_TS[origin:] = 1.0
    later = Readings(later_TS, READINGS.sensors, READINGS.start, 5)
    read, read_later = (Series(r, SCALE, CPU).inputs(torch.tensor([origin]), given) for r in (READINGS, later))
    assert torch.equal(read, read_later)


def test_targets_are_those_of_the_windows() -> None:
    data, windows = on_device(), PARTS.windows["train"]
    restored_NO = data.scale.restore(data.targets())
    np.testing.assert_allclose(restored_NO, windows.target_NO, rtol=1e-5)
    assert torch.isnan(restored_NO).any()


def test_an_epoch_holds_every_window_once_in_an_order_of_its_own() -> None:
    data, wanted = on_device(), {"x": Wanted(SPEC.base, torch.float32)}

    def epoch(number: int) -> torch.Tensor:
        batches = list(data.batches(wanted, data.source(SPEC.base), 32, (1, number), ()))
        assert [batch.index for batch in batches] == list(range(data.steps(SPEC.base.model_copy(update={"fit": FIT}))))
        return torch.cat([batch.target_B for batch in batches])

    first_NO, again_NO, second_NO = epoch(1), epoch(1), epoch(2)
    assert torch.equal(first_NO.nan_to_num(), again_NO.nan_to_num())
    assert not torch.equal(first_NO.nan_to_num(), second_NO.nan_to_num())
    assert sorted(first_NO.nansum(1).tolist()) == pytest.approx(sorted(data.targets().nansum(1).tolist()), abs=1e-4)


def test_an_epoch_may_hold_some_of_the_windows_others_in_each() -> None:
    held = TrafficSet(PARTS.windows["train"], PARTS.windows["val"], SCALE, 64)
    data, wanted = TrafficOnDevice(held, CPU), {"x": Wanted(SPEC.base, torch.float32)}
    assert data.examples == 64 and data.steps(SPEC.base.model_copy(update={"fit": FIT})) == 2

    def told(target_NO: torch.Tensor) -> set[tuple[float, ...]]:
        return {tuple(row) for row in target_NO.nan_to_num().tolist()}

    epochs = [
        told(torch.cat([batch.target_B for batch in data.batches(wanted, "", 32, (1, number), ())]))
        for number in range(3)
    ]
    assert [len(epoch) for epoch in epochs] == [64, 64, 64] and all(epoch < told(data.targets()) for epoch in epochs)
    assert len(set.union(*epochs)) > 128


FIT = SPEC.fit.model_copy(update={"batch_size": 32})


def test_val_is_cut_into_parts_that_come_together_again() -> None:
    data, wanted = on_device(), {"x": Wanted(SPEC.base, torch.float32)}
    measured = data.measured(PARTS.windows["val"])
    parts = list(measured.parts(wanted, rows=7))
    assert sum(len(part.inputs["x"]) for part in parts) == measured.count == len(PARTS.windows["val"])
    (whole,) = data.measured(Windows(READINGS, PARTS.windows["val"].origin_N)).parts(wanted, rows=1000)
    assert torch.equal(torch.cat([part.inputs["x"] for part in parts]), whole.inputs["x"])


def test_perfect_forecasts_score_no_error_and_those_of_nothing_known_do_not_count() -> None:
    data, target_NO = on_device(), PARTS.windows["val"].target_NO
    scores = data.val_scores(np.nan_to_num(target_NO, nan=1e6)[None])
    assert set(scores.values()) == {0.0}
    assert data.val_scores(np.nan_to_num(target_NO, nan=0.0)[None] + 2.0)["mae_60"] == pytest.approx(2.0, rel=1e-5)
    assert target_NO.shape[1] == 6 * HORIZON


def test_networks_are_told_the_adjacency() -> None:
    np.testing.assert_array_equal(on_device().constants["adjacency"], READINGS.adjacency_SS)


@pytest.mark.parametrize("adjacency", ["bias", "none"])
def test_a_member_holds_the_adjacency_where_its_network_has_a_place_for_it(adjacency: str) -> None:
    depths = {f"{over}_depth_{stage}": 1 for over in ("temporal", "spatial") for stage in (1, 2)}
    model = {"kind": "space_time_attention", "embed_dim": 8, "heads": 2, "adjacency": adjacency, **depths}
    spec = RunSpec.from_dict({"stage": "some", "task": "traffic", "model": model})
    trainer = Trainer(TrafficSet(PARTS.windows["train"], PARTS.windows["val"], SCALE), CPU)
    state = trainer.member(0, spec.base).model.state_dict()
    assert ("adjacency" in state) is (adjacency == "bias")
    if adjacency == "bias":
        np.testing.assert_array_equal(state["adjacency"], READINGS.adjacency_SS)
