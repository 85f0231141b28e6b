"""Every stored type of a label, in every layout, is understood or refused - and alike by a run and by inspection."""

from pathlib import Path

import numpy as np
import pytest
import stored_labels

from spectral_search.errors import RequestError
from spectral_search.tasks.spectra.shards.data_root import DataRoot
from spectral_search.tasks.spectra.shards.labels import read_labels
from spectral_search.tasks.spectra.shards.shard_inspection import inspect_path

CASES = list(stored_labels.cases())


@pytest.mark.filterwarnings("ignore::pandas.errors.PerformanceWarning")
@pytest.mark.parametrize(("layout", "kind"), CASES, ids=[f"{layout}-{kind}" for layout, kind in CASES])
def test_a_label_is_understood_or_refused(layout: str, kind: str, tmp_path: Path) -> None:
    column = stored_labels.stored(kind)
    path = stored_labels.write(tmp_path / "dataset.h5", layout, column)
    found = inspect_path(path).to_dict()["shards"][0]
    faults = [finding["sentence"] for finding in found["findings"] if finding["level"] == "fault"]
    is_pickled = layout == "pandas fixed" and (kind in ("string", "no string") or stored_labels.is_text(column))
    if column.expected is not None and not is_pickled:
        labels = read_labels(DataRoot.find(path).train)
        np.testing.assert_array_equal(labels["log_g"], column.expected)
        assert labels["id"].tolist() == [10, 11, 12, 13, 14, 15]
        assert faults == []
        ends = found["labels"].get("log_g", {"min": column.expected.min(), "max": column.expected.max()})
        assert (ends["min"], ends["max"]) == (column.expected.min(), column.expected.max())
    else:
        said = "pickled Python objects, which are never opened" if is_pickled else column.said
        with pytest.raises(RequestError, match=said) as caught:
            read_labels(DataRoot.find(path).train)
        assert list(caught.value.faults) == faults
        assert str(path) in faults[0] and "log_g" in faults[0]
