"""Processes of a search on Ray read as the plan said."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_dataset import small_dataset
from small_shards import make_shard

from spectral_search.record.paths import RunPaths
from spectral_search.run.ray_job import Job
from spectral_search.spec.load import load_spec
from spectral_search.spec.search import Reader
from spectral_search.tasks.spectra.shards.data_root import DataRoot
from spectral_search.tasks.spectra.shards.split import Selection
from spectral_search.tasks.spectra.training.dataset import Stream


@pytest.mark.parametrize(
    ("reader", "compression", "expected"),
    [
        ("auto", None, "thread"),
        ("auto", "gzip", "ray"),
        ("ray", None, "ray"),
        ("thread", "gzip", "thread"),
    ],
)
def test_a_streamed_set_is_read_by_what_the_plan_names(
    tmp_path: Path, reader: Reader, compression: str | None, expected: str
) -> None:
    make_shard(tmp_path / "train/dataset.h5", 16, compression=compression)
    selection = Selection.all_of(DataRoot.find(tmp_path).train)
    spec = load_spec("step1").override({"resources.reader": reader})
    resident = small_dataset(16, 16)
    streamed = replace(resident, train=Stream(selection, np.zeros(16, np.float32), np.zeros(16, np.int64)))
    paths = RunPaths(tmp_path, "run")
    assert Job(spec, paths, streamed, threads=1, share=1.0).reader() == expected
    assert Job(spec, paths, resident, threads=1, share=1.0).reader() == "thread"
