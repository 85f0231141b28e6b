import threading
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import ray
from ray.util.placement_group import placement_group, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy
from small_shards import PIXELS, make_shard

from spectral_search.errors import RequestError
from spectral_search.tasks.spectra.shards.blocks import Condition, epoch_ranges, iter_blocks, read_ranges, row_ranges
from spectral_search.tasks.spectra.shards.content import Gathering, read_hashes
from spectral_search.tasks.spectra.shards.data_root import DataRoot
from spectral_search.tasks.spectra.shards.loaded_spectra import load_spectra
from spectral_search.tasks.spectra.shards.ray_blocks import (
    SpectraDatasource,
    cut,
    dataset,
    iter_blocks_ray,
    iter_selection_ray,
)
from spectral_search.tasks.spectra.shards.split import Selection
from spectral_search.tasks.spectra.training.preprocessing import Conditioning

CHUNK_BYTES = 8 * 2 * 4 * PIXELS
DEADLOCK_SECONDS = 300.0

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("small_ray")]


@pytest.fixture
def selection(tmp_path: Path) -> Selection:
    """60 of 87 spectra in two shards."""
    for number, spectra in enumerate((50, 37)):
        make_shard(tmp_path / f"train_{number}/dataset.h5", spectra, shift=100.0 * number, with_noisy=True)
    rows = np.sort(np.random.default_rng(0).choice(87, 60, replace=False))
    return Selection(DataRoot.find(tmp_path).train, rows)


def test_tasks_hold_several_ranges_with_plain_metadata(selection: Selection) -> None:
    ranges = row_ranges(selection, CHUNK_BYTES)
    source = SpectraDatasource(ranges, noisy=True, task_bytes=3 * CHUNK_BYTES)
    tasks = source.get_read_tasks(1)
    assert [r for part in source.parts for r in part] == ranges
    assert len(ranges) > len(source.parts) == len(tasks) == len(source.get_read_tasks(100)) > 2
    assert all(sum(r.nbytes for r in part) <= 3 * CHUNK_BYTES for part in source.parts)
    assert sum(task.metadata.num_rows for task in tasks) == len(selection)
    assert source.estimate_inmemory_data_size() == sum(task.metadata.size_bytes for task in tasks)
    assert all(type(task.metadata.size_bytes) is int for task in tasks)
    (table,) = tasks[0]()
    assert table.num_rows == sum(map(len, source.parts[0]))
    assert table.column_names == ["row", "flux", "error", "noisy"]
    assert abs(table.nbytes - tasks[0].metadata.size_bytes) < 64


CONDITION = Conditioning(2.0, np.array([4]), np.arange(PIXELS, dtype=np.float32))


@pytest.mark.parametrize(("noisy", "condition"), [(False, None), (True, CONDITION)])
def test_streamed_blocks_are_those_of_plain_h5py_in_order(
    selection: Selection, noisy: bool, condition: Condition | None
) -> None:
    ranges = row_ranges(selection, CHUNK_BYTES)
    streamed = list(iter_blocks_ray(ranges, noisy, condition, task_bytes=3 * CHUNK_BYTES))
    plain = list(read_ranges(ranges, noisy, condition))
    assert len(streamed) == len(plain) == len(ranges) > 5
    for ours, theirs in zip(streamed, plain, strict=True):
        for name in ("rows_B", "flux_BL", "error_BL", "invalid_BL"):
            np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))
            assert getattr(ours, name).dtype == getattr(theirs, name).dtype
        assert (ours.noisy_BL is None) == (not noisy)
        if noisy:
            np.testing.assert_array_equal(ours.noisy_BL, theirs.noisy_BL)


def test_workers_follow_links_to_other_files(selection: Selection) -> None:
    plain = list(read_ranges(row_ranges(selection, CHUNK_BYTES)))
    for info in selection.shards:
        with h5py.File(info.path, "r+") as file, h5py.File(info.path.with_name("raw.h5"), "w") as raw:
            for name in ("flux", "error"):
                raw[name] = file[f"dataset/arrays/{name}/value"][...].astype(np.float32)  # contiguous
                del file[f"dataset/arrays/{name}"]
                file[f"dataset/arrays/{name}"] = h5py.ExternalLink("raw.h5", name)
    for ours, theirs in zip(iter_blocks_ray(row_ranges(selection, CHUNK_BYTES)), plain, strict=True):
        np.testing.assert_array_equal(ours.flux_BL, theirs.flux_BL)
        np.testing.assert_array_equal(ours.error_BL, theirs.error_BL)


def test_streamed_blocks_have_the_hashes_of_plain_ones(selection: Selection) -> None:
    expected = read_hashes(selection, ("flux", "error", "noisy", "mask"))
    gathering = Gathering(selection)
    for _ in gathering.watch(iter_selection_ray(selection, True, CHUNK_BYTES, hashed=True)):
        pass
    found = gathering.whole()
    assert found.keys() == expected.keys()
    for array, hash_N in expected.items():
        np.testing.assert_array_equal(found[array], hash_N, err_msg=array)


def test_streamed_and_materialised_epochs_hold_the_same_spectra_once_each(selection: Selection) -> None:
    spectra = load_spectra(selection, iter_selection_ray(selection, noisy=True))
    order = epoch_ranges(row_ranges(selection, CHUNK_BYTES), seed=3, epoch=1)
    blocks = list(iter_blocks_ray(order, task_bytes=CHUNK_BYTES))
    assert [int(block.rows_B[0]) for block in blocks] == [r.first for r in order]
    rows = np.concatenate([block.rows_B for block in blocks])
    assert np.array_equal(np.sort(rows), np.arange(len(selection)))
    assert not np.array_equal(rows, np.sort(rows))
    for block in blocks:
        np.testing.assert_array_equal(block.flux_BL, spectra.flux_NL[block.rows_B])
        np.testing.assert_array_equal(block.error_BL, spectra.error_NL[block.rows_B])
    plain = load_spectra(selection, iter_blocks(selection, noisy=True))
    np.testing.assert_array_equal(spectra.noisy_NL, plain.noisy_NL)
    assert spectra.labels.equals(plain.labels)


def test_blocks_are_views_of_what_a_task_has_read(selection: Selection) -> None:
    """A copy here would cost the consumer as much as reading."""
    source = SpectraDatasource(row_ranges(selection, CHUNK_BYTES), task_bytes=3 * CHUNK_BYTES)
    (table,) = source.get_read_tasks(1)[0]()
    flux = np.frombuffer(table["flux"].chunk(0).values.buffers()[1], np.float32)
    for block in cut(table, source.parts[0]):
        assert np.shares_memory(block.flux_BL, flux)


def test_no_ranges_give_no_blocks() -> None:
    assert list(iter_blocks_ray([])) == []


def test_settings_of_the_process_stay_as_they_are(selection: Selection) -> None:
    context = ray.data.DataContext.get_current()
    before = (context.target_max_block_size, context.execution_options.preserve_order)
    dataset(SpectraDatasource(row_ranges(selection)))
    after = ray.data.DataContext.get_current()
    assert after is context
    assert (after.target_max_block_size, after.execution_options.preserve_order) == before


def test_an_unfinished_stream_leaves_no_reader_behind(selection: Selection) -> None:
    ranges = row_ranges(selection, CHUNK_BYTES)
    stream = iter_blocks_ray(ranges, task_bytes=CHUNK_BYTES)
    next(stream)
    stream.close()
    assert sum(len(block) for block in iter_blocks_ray(ranges)) == len(selection)


def test_a_damaged_shard_is_named(selection: Selection) -> None:
    ranges = row_ranges(selection, CHUNK_BYTES)
    selection.shards[1].path.write_bytes(b"gone")
    with pytest.raises(RequestError) as error:
        list(iter_blocks_ray(ranges, task_bytes=CHUNK_BYTES))
    (fault,) = error.value.faults
    assert "train_1/dataset.h5: not an HDF5 file" in fault
    assert "Traceback" not in fault
    assert "UDF" not in fault


@ray.remote(num_cpus=1)
class Trial:
    """Holds a CPU, as a trial does, and can stream within it."""

    def ready(self) -> bool:
        return True

    def stream(self, selection: Selection) -> int:
        return sum(len(block) for block in iter_blocks_ray(row_ranges(selection, CHUNK_BYTES), task_bytes=CHUNK_BYTES))


def finish(work: Callable[[], int], seconds: float = DEADLOCK_SECONDS) -> int:
    """Runs work in a thread, so that a deadlock fails the test instead of hanging it."""
    results: list[int] = []
    thread = threading.Thread(target=lambda: results.append(work()), daemon=True)
    thread.start()
    thread.join(seconds)
    assert results, f"no end after {seconds} s"
    return results[0]


def test_streaming_ends_while_trials_hold_every_cpu(selection: Selection) -> None:
    trials = [Trial.remote() for _ in range(2)]
    ray.get([trial.ready.remote() for trial in trials])
    assert ray.available_resources().get("CPU", 0) == 0
    ranges = row_ranges(selection, CHUNK_BYTES)
    assert finish(lambda: sum(len(block) for block in iter_blocks_ray(ranges, task_bytes=CHUNK_BYTES))) == len(
        selection
    )
    assert finish(lambda: sum(ray.get([trial.stream.remote(selection) for trial in trials]))) == 2 * len(selection)
    for trial in trials:
        ray.kill(trial)


def test_streaming_ends_within_a_placement_group_as_tune_makes_it(selection: Selection) -> None:
    group = placement_group([{"CPU": 2}])
    ray.get(group.ready())
    strategy = PlacementGroupSchedulingStrategy(group, placement_group_capture_child_tasks=True)
    trial = Trial.options(num_cpus=2, scheduling_strategy=strategy).remote()
    assert finish(lambda: ray.get(trial.stream.remote(selection))) == len(selection)
    ray.kill(trial)
    remove_placement_group(group)
