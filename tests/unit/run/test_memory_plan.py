"""What a plan says of memory: what is refused, what is told, and how many trials run at a time."""

from dataclasses import replace
from typing import Any

import pytest
from small_shards import make_shard

from spectral_search.errors import RequestError
from spectral_search.run.executor_choice import Executor
from spectral_search.run.memory_corners import Corners
from spectral_search.run.memory_plan import MemoryPlan, Unused, plan_memory
from spectral_search.run.trial_memory import PROCESS_BYTES, EstimatedMemory
from spectral_search.spec.run import RunSpec
from spectral_search.task.data_plan import Traits
from spectral_search.tasks.spectra.shards.data_root import DataRoot
from spectral_search.tasks.spectra.shards.split import Splits, make_splits
from spectral_search.tasks.spectra.spectra_plan import SpectraPlan
from spectral_search.train.capacity import footprint
from spectral_search.train.devices import Slots
from spectral_search.train.free_memory import Memory

PIXELS = 100
MB = 1_000_000
WIDE, WIDER, NARROW = [3000, 2000], [5000, 4000], [16]


@pytest.fixture(scope="module")
def splits(tmp_path_factory: pytest.TempPathFactory) -> Splits:
    folder = tmp_path_factory.mktemp("shards")
    make_shard(folder / "train/dataset.h5", 64, pixels=PIXELS)
    make_shard(folder / "val/dataset.h5", 16, pixels=PIXELS)
    return make_splits(DataRoot.find(folder), spec_of(NARROW).data)


def spec_of(hidden: list[int], **sections: Any) -> RunSpec:
    fit = {"batch_size": 32, "precision": "float32"}
    document = {"stage": "test", "model": {"kind": "mlp", "hidden": hidden}, "fit": fit, **sections}
    return RunSpec.from_dict({"data": {"residency": "resident", "stored_as": "float32"}, **document})


def traits_of(spec: RunSpec, splits: Splits) -> Traits:
    shards = DataRoot(splits.train.shards, splits.val.shards, [], PIXELS, None)
    return SpectraPlan(spec, shards, splits).traits


def peak_of(hidden: list[int]) -> int:
    return footprint(spec_of(hidden).base, PIXELS, examples=64).peak


def planned(
    spec: RunSpec, splits: Splits, free: float, *, at_a_time: int = 1, executor: Executor = "separate", **gpu: float
) -> MemoryPlan:
    slots = Slots(1.0, float(bool(gpu)), at_a_time, (0,) if gpu else (), None, int(executor == "shared"), at_a_time)
    host = Memory(int(free), int(2 * free))
    unused = Unused(host, Memory(int(gpu["gpu"]), int(2 * gpu["gpu"])) if gpu else None)
    found = plan_memory(spec, traits_of(spec, splits), executor, slots, unused)
    assert found is not None
    return found


def room_for(*layers: list[int], processes: int | None = None) -> float:
    """So much that these fit at a time, and hardly more."""
    return sum(map(peak_of, layers)) + PROCESS_BYTES * (1 + (len(layers) if processes is None else processes)) + 5 * MB


def test_a_fixed_network_that_cannot_fit_is_refused(splits: Splits) -> None:
    assert planned(spec_of(WIDE), splits, room_for(WIDE)).notes == ()
    with pytest.raises(RequestError) as refused:
        planned(spec_of(WIDE), splits, peak_of(WIDE))
    (sentence,) = refused.value.faults
    assert sentence.startswith("This mlp needs about 2")
    assert " MB with spectra and libraries, and " in sentence
    assert (
        "are free on this machine: make model.hidden smaller; where the estimate is wrong, --set resources." in sentence
    )
    assert planned(spec_of(WIDE, resources={"allow_oversize": True}), splits, MB).notes == ()


def test_a_resumed_run_is_told_to_go_elsewhere(splits: Splits) -> None:
    unused = Unused(Memory(MB, MB))
    traits = traits_of(spec_of(WIDE), splits)
    with pytest.raises(RequestError, match=r"are free on this machine: resume it elsewhere\.$"):
        plan_memory(spec_of(WIDE), traits, "inline", Slots(1, 0, 1, ()), unused, way_out="resume it elsewhere")


def test_trials_of_a_cluster_are_sized_and_not_held_against_this_machine(splits: Splits) -> None:
    slots, spec = Slots(0.0, 0.0, 4, (), "10.0.0.1:6379"), spec_of(WIDE)
    found = plan_memory(spec, traits_of(spec, splits), "separate", slots, Unused(Memory(1, 1)))
    assert found == MemoryPlan(4, peak_of(WIDE), None, (), PROCESS_BYTES + peak_of(WIDE))


def test_what_a_trial_is_given_counts_instead_of_the_estimate(splits: Splits) -> None:
    small = spec_of(NARROW, resources={"memory_gb_per_trial": 2.0})
    found = planned(small, splits, 5e9, at_a_time=4)
    assert (found.concurrent, found.process_bytes) == (2, 2_000_000_000)
    assert found.notes == (
        "4 trials at a time would need about 8.26 GB, and 5 GB of 10 GB are free on this machine: 2 at a time.",
    )
    assert planned(small, splits, 5e9, at_a_time=4, executor="inline").concurrent == 2
    assert planned(spec_of(WIDER, resources={"memory_gb_per_trial": 0}), splits, 1e9, at_a_time=4).concurrent == 4
    with pytest.raises(
        RequestError,
        match=r"^resources.memory_gb_per_trial gives a trial 2 GB, 2.26 GB with spectra and .*: give it less\.$",
    ):
        planned(small, splits, 1e9)
    asked = spec_of(NARROW, resources={"memory_gb_per_trial": 2.0, "concurrent": 4})
    with pytest.raises(RequestError, match="ask for --concurrent 2, or lower resources.memory_gb_per_trial"):
        planned(asked, splits, 5e9, at_a_time=4)


@pytest.mark.parametrize("sampler", ["grid", "random"])
def test_what_a_node_is_asked_for_is_worked_out_once(
    splits: Splits, monkeypatch: pytest.MonkeyPatch, sampler: str
) -> None:
    """A cluster asks for every number of members, at every look for room: of a grid of 1,200 points that took 2 s."""
    asked = list[str]()
    for name in ("grid", "largest", "smallest"):
        sound = getattr(Corners, name)
        monkeypatch.setattr(Corners, name, lambda corners, name=name, sound=sound: asked.append(name) or sound(corners))
    varied = {"grid": {"model.hidden": [NARROW, WIDE]}, "space": {"model.hidden": {"choice": [NARROW, WIDE]}}}
    spec = spec_of(NARROW, search={"sampler": sampler}, **varied)
    memory = EstimatedMemory(spec, traits_of(spec, splits))
    for members in (1, 2, 3):
        assert memory.least(members, gpu=False) <= memory.most(members, gpu=False)
    assert asked == (["grid"] if sampler == "grid" else ["smallest", "largest"])


def test_a_node_is_held_against_the_smallest_network_and_asked_for_the_largest(splits: Splits) -> None:
    spec = spec_of(NARROW, space={"model.hidden": {"choice": [NARROW, WIDE]}})
    memory = EstimatedMemory(spec, traits_of(spec, splits))
    assert memory.least(gpu=False) == PROCESS_BYTES + peak_of(NARROW)
    assert memory.most(gpu=False) == PROCESS_BYTES + peak_of(WIDE)
    assert PROCESS_BYTES < memory.most(gpu=True) < memory.most(gpu=False), (
        "a GPU's host has weights while they are saved"
    )
    assert memory.most(3, gpu=False) < 3 * memory.most(gpu=False)
    grid = spec_of(NARROW, grid={"model.hidden": [NARROW, WIDE]}, search={"sampler": "grid"})
    assert EstimatedMemory(grid, traits_of(grid, splits)).least(gpu=False) == memory.most(gpu=False)
    said = spec_of(WIDE, resources={"allow_oversize": True})
    assert EstimatedMemory(said, traits_of(said, splits)).most(gpu=False) == 0


def test_points_of_a_grid_that_cannot_fit_are_named(splits: Splits) -> None:
    search = {"sampler": "grid"}
    grid = {"model.hidden": [NARROW, WIDER, WIDE], "fit.lr": [1e-3, 1e-2]}
    spec = spec_of(NARROW, grid=grid, search=search)
    assert planned(spec, splits, room_for(WIDER)).largest_bytes == peak_of(WIDER)
    with pytest.raises(
        RequestError, match=r"^Of the grid, hidden=\[5000,4000\].* cannot fit into memory\. The largest: "
    ):
        planned(spec, splits, room_for(WIDE))


def test_trials_at_a_time_are_as_many_as_fit(splits: Splits) -> None:
    """Left open, fewer run at a time; asked for, the plan is refused."""
    two = room_for(WIDE, WIDE)
    found = planned(spec_of(WIDE), splits, two, at_a_time=4)
    assert found.concurrent == 2
    assert found.notes[0].startswith("4 trials at a time would need about 2.")
    assert found.notes[0].endswith("free on this machine: 2 at a time.")
    with pytest.raises(RequestError, match="ask for --concurrent 2, or make model.hidden smaller"):
        planned(spec_of(WIDE, resources={"concurrent": 4}), splits, two, at_a_time=4)


def test_a_grid_is_held_against_its_largest_points_at_a_time(splits: Splits) -> None:
    spec = spec_of(NARROW, grid={"model.hidden": [NARROW, [*NARROW, 8], WIDER, WIDE]}, search={"sampler": "grid"})
    assert planned(spec, splits, room_for(WIDER, WIDE), at_a_time=2).concurrent == 2
    assert planned(spec, splits, room_for(WIDER, WIDE) - 10 * MB, at_a_time=2).concurrent == 1


def test_members_of_a_shared_pass_write_their_checkpoints_one_after_the_other(splits: Splits) -> None:
    one = footprint(spec_of(WIDE).base, PIXELS, examples=64)
    shared = room_for(WIDE, processes=1) + one.state
    assert planned(spec_of(WIDE), splits, shared, at_a_time=2, executor="shared").concurrent == 2
    assert planned(spec_of(WIDE), splits, shared - 10 * MB, at_a_time=2, executor="shared").concurrent == 1
    assert planned(spec_of(WIDE), splits, shared, at_a_time=2).concurrent == 1


def test_the_largest_corner_of_a_space_is_told(splits: Splits) -> None:
    space = {"model.hidden": {"choice": [NARROW, WIDER, WIDE]}, "fit.lr": {"log_uniform": [1e-4, 1e-2]}}
    spec = spec_of(NARROW, space=space)
    assert planned(spec, splits, room_for(WIDER)).notes == ()
    (note,) = planned(spec, splits, room_for(WIDE)).notes
    assert note.startswith(
        "The space holds networks that cannot fit into memory, such as hidden=[5000,4000]. This mlp "
    )
    share = int(note.partition("of 100 random ones ")[2].split()[0])
    assert 20 < share < 50
    with pytest.raises(RequestError, match=r"^No network of the space fits into memory\. The smallest: This mlp"):
        planned(spec, splits, MB)


def test_the_largest_of_a_space_at_a_time_are_told(splits: Splits) -> None:
    spec = spec_of(NARROW, space={"model.hidden": {"choice": [NARROW, WIDE]}})
    room = room_for(WIDE, WIDE)
    (note,) = planned(spec, splits, room, at_a_time=3).notes
    assert "2 fit at a time, not 3: one that finds no room fails; --concurrent 2 has room for all." in note
    assert planned(spec, splits, room, at_a_time=2).notes == ()


def test_spectra_count(splits: Splits) -> None:
    """Val spectra are kept as flux, error and up to eight draws, and by Ray once more."""
    train: Any = LargeSelection(splits.train)
    spec, large, once = spec_of(NARROW), replace(splits, train=train), 2 * 4 * len(train) * PIXELS
    planned(spec, large, once + PROCESS_BYTES + 5 * MB, executor="inline")
    with pytest.raises(RequestError, match=r"the spectra take 1\.6 GB of it; set data.residency to stream, or lower"):
        planned(spec, large, once + 2 * PROCESS_BYTES + 5 * MB, executor="separate")


class LargeSelection:
    """A selection that says that it is larger than it is."""

    def __init__(self, selection: Any) -> None:
        self._selection = selection

    def __len__(self) -> int:
        return 1_000_000

    def __getattr__(self, name: str) -> Any:
        return getattr(self._selection, name)


def test_a_gpu_is_what_counts_where_there_is_one(splits: Splits) -> None:
    one = footprint(spec_of(WIDE).base, PIXELS, examples=64, gpu=True)
    context = 500 << 20
    needed = one.state + one.step + one.inputs + context + 5 * MB
    found = planned(spec_of(WIDE), splits, 1e11, at_a_time=2, gpu=needed)
    assert (found.concurrent, found.free_bytes) == (1, int(needed))
    with pytest.raises(RequestError, match="are free on the GPU: make model.hidden smaller"):
        planned(spec_of(WIDE), splits, 1e11, gpu=context)


def test_corners_of_a_space_with_conditions_and_values_that_exclude_each_other() -> None:
    space = {
        "model.kind": {"choice": ["mlp", "vit"]},
        "model.hidden": {"choice": [[8], [32]], "when": {"model.kind": ["mlp"]}},
        "model.width": {"choice": [16, 24, 64], "when": {"model.kind": ["vit"]}},
        "model.heads": {"choice": [4, 8], "when": {"model.kind": ["vit"]}},
        "model.patch": {"int": [2, 50], "when": {"model.kind": ["vit"]}},
        "fit.batch_size": {"choice": [16, 64]},
        "fit.lr": {"log_uniform": [1e-4, 1e-2]},
    }
    spec = RunSpec.from_dict({"stage": "test", "model": {"kind": "mlp"}, "fit": {"epochs": 2}, "space": space})
    corners = Corners(spec, 512, 1000, gpu=False)
    largest, smallest = corners.largest(), corners.smallest()
    assert largest.params.pop("model.heads") in (4, 8)
    assert largest.params == {"model.kind": "vit", "model.width": 64, "model.patch": 2, "fit.batch_size": 64}
    assert smallest.params == {"model.kind": "mlp", "model.hidden": [8], "fit.batch_size": 16}
    assert all(smallest.footprint.peak <= drawn.footprint.peak <= largest.footprint.peak for drawn in corners.draws)
