"""The exported model that trials learn from: that it is there, is still the same, and knows the data. Without torch."""

from pathlib import Path

import numpy as np

from spectral_search.errors import RequestError
from spectral_search.record.bundle import BundlePaths, read_bundle_config, read_safetensors
from spectral_search.record.durable import digest, digest_of
from spectral_search.spec.fit import DistillSpec


def teacher_digest(model: Path) -> str:
    """Of all that an exported model computes with.

    Raises:
        RequestError: A file of it is missing.
    """
    read_bundle_config(model)
    paths = BundlePaths.of(model)
    return digest_of(digest(paths.model) + digest(paths.preprocessing))


def require_same_teacher(distill: DistillSpec) -> Path | None:
    """Where the teacher of a run lies; None where there is none.

    Raises:
        RequestError: It is gone, or another one lies there.
    """
    if distill.model is None:
        return None
    model = Path(distill.model)
    if not model.exists():
        raise RequestError(f"fit.distill.model: {model} is not there any more: restore it, or begin a new run.")
    if distill.sha256 not in (None, teacher_digest(model)):
        raise RequestError(
            f"fit.distill.model: {model} is not the model that this began with: restore it, or begin a new run with "
            "fit.distill.sha256=null."
        )
    return model


def require_known_data(distill: DistillSpec, preprocessing: Path) -> None:
    """Refuse a teacher that reads examples by other statistics than those of a run.

    Args:
        distill: Of the run.
        preprocessing: The run's statistics.

    Raises:
        RequestError: The teacher has others.
    """
    model = require_same_teacher(distill)
    if model is None:
        return
    own, _ = read_safetensors(preprocessing)
    known, _ = read_safetensors(BundlePaths.of(model).preprocessing)
    # What the one has no need of, such as directions of an input that it does not read, is empty.
    differ = [
        name
        for name, array in known.items()
        if array.size and not (name in own and np.array_equal(own[name], array, equal_nan=array.dtype.kind == "f"))
    ]
    if differ:
        raise RequestError(
            f"fit.distill.model: {model} reads examples by other statistics than this run has ({', '.join(differ)}) "
            "and would not know them: train it on these data and with this split, and let the input that it reads "
            "be one that this search reads too."
        )
