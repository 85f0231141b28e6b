"""The bundle of an exported model: its config (YAML), weights and preprocessing (safetensors), metrics (JSON).

In a folder the four files are config.yaml, model.safetensors, preprocessing.safetensors and metrics.json; beside an
exported FILE.yaml they are FILE.model.safetensors, FILE.preprocessing.safetensors and FILE.metrics.json.
"""

import hashlib
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load, save

from spectral_search.errors import RequestError
from spectral_search.record.durable import json_text, plain, read_json, read_yaml, replacing
from spectral_search.spec.yaml_io import dump_yaml

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class BundlePaths:
    """The four files of a bundle."""

    config: Path

    @classmethod
    def of(cls, path: Path) -> "BundlePaths":
        """The files of the bundle that a folder or a YAML file names.

        Raises:
            RequestError: The path is neither a folder nor a YAML file.
        """
        if path.is_dir():
            return cls(path / "config.yaml")
        if path.suffix.lower() not in (".yaml", ".yml"):
            raise RequestError(f"{path} names no exported model; give its .yaml file or the folder of its config.yaml.")
        return cls(path)

    def _beside(self, ending: str) -> Path:
        prefix = "" if self.config.name == "config.yaml" else f"{self.config.stem}."
        return self.config.with_name(prefix + ending)

    @property
    def model(self) -> Path:
        """Weights."""
        return self._beside("model.safetensors")

    @property
    def preprocessing(self) -> Path:
        """Statistics that turn examples into the network's input and its output into what was asked for."""
        return self._beside("preprocessing.safetensors")

    @property
    def metrics(self) -> Path:
        """Numbers of the exported epoch."""
        return self._beside("metrics.json")


@dataclass(frozen=True)
class Bundle:
    """An exported model.

    Attributes:
        config: A spec as a dict, its parameters fixed, with a `provenance` section.
        weights: The network's state by name.
        preprocessing: Statistics by name.
        metrics: Numbers of the exported epoch.
        preprocessing_metadata: Texts stored beside the statistics.
    """

    config: dict[str, Any]
    weights: dict[str, NDArray[Any]]
    preprocessing: dict[str, NDArray[Any]]
    metrics: dict[str, Any]
    preprocessing_metadata: dict[str, str] = field(default_factory=dict)

    @property
    def provenance(self) -> dict[str, Any]:
        """Run, trial, epoch, data and versions that the model comes from; empty where unknown."""
        return dict(self.config.get("provenance") or {})


def to_safetensors(arrays: Arrays, metadata: Mapping[str, str] | None = None) -> bytes:
    """Arrays as safetensors bytes, each with its dtype and shape."""
    # safetensors writes the buffer as it lies: an array in Fortran order would come back scrambled, without a word.
    native = {name: np.array(array, dtype=array.dtype.newbyteorder("="), order="C") for name, array in arrays.items()}
    return save(native, metadata=dict(metadata) if metadata else None)


def read_safetensors(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """Arrays and metadata of a safetensors file.

    Raises:
        RequestError: The file is missing, cut short or none.
    """
    try:
        arrays = load(path.read_bytes())
        # `load` gives the arrays alone, so the header is read once more.
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
    except OSError as fault:
        raise RequestError(f"{path} cannot be read ({fault.strerror}); restore it or export the model again.") from None
    except SafetensorError as fault:
        raise RequestError(f"{path} is cut short or no safetensors file ({fault}); export the model again.") from None
    return arrays, dict(metadata)


def write_bundle(
    config_path: Path,
    config: Mapping[str, Any],
    weights: Arrays,
    preprocessing: Arrays,
    metrics: Mapping[str, Any],
    *,
    preprocessing_metadata: Mapping[str, str] | None = None,
) -> BundlePaths:
    """Write the four files of a bundle, the config last: where it is whole, so is the bundle.

    Args:
        config_path: The YAML file; a folder stands for its config.yaml. Missing folders are made.
        config: A spec as a dict with fixed parameters; its provenance gains the digests of the two array files.
        weights: The network's state by name.
        preprocessing: Statistics by name.
        metrics: Numbers of the exported epoch.
        preprocessing_metadata: Texts to store beside the statistics.

    Raises:
        RequestError: The path is no YAML file.
        OSError: It cannot be written.
    """
    paths = BundlePaths.of(config_path)
    model_bytes = to_safetensors(weights)
    preprocessing_bytes = to_safetensors(preprocessing, preprocessing_metadata)
    digests = {"model": _digest(model_bytes), "preprocessing": _digest(preprocessing_bytes)}
    full = {**config, "provenance": {**(config.get("provenance") or {}), "sha256": digests}}
    contents = {
        paths.config: dump_yaml(plain(full)).encode(),
        paths.metrics: json_text(metrics).encode(),
        paths.preprocessing: preprocessing_bytes,
        paths.model: model_bytes,
    }
    paths.config.parent.mkdir(parents=True, exist_ok=True)
    # All is written before anything appears, so that a full disk leaves no part of a bundle, nor of a newer one over an
    # older; the files appear in the opposite order.
    with ExitStack() as appearing:
        for path, content in contents.items():
            appearing.enter_context(replacing(path)).write_bytes(content)
    return paths


def read_bundle(path: Path) -> Bundle:
    """Read an exported model, strictly: all of it or none.

    Args:
        path: Its YAML file, or the folder of its config.yaml.

    Raises:
        RequestError: A file is missing or cut short (all of them at once), or files of two exports are mixed.
    """
    paths, config = BundlePaths.of(path), read_bundle_config(path)
    weights, _ = read_safetensors(paths.model)
    preprocessing, metadata = read_safetensors(paths.preprocessing)
    _check_digests(paths, config)
    return Bundle(config, weights, preprocessing, read_json(paths.metrics), metadata)


def read_bundle_config(path: Path) -> dict[str, Any]:
    """The config of an exported model that has all its files; the weights are not read.

    Raises:
        RequestError: A file is missing (all of them at once), or the config is cut short.
    """
    paths = BundlePaths.of(path)
    files = (paths.config, paths.model, paths.preprocessing, paths.metrics)
    missing = [f"{file} is missing; export the model again." for file in files if not file.is_file()]
    if len(missing) == len(files) - 1 and paths.config.is_file():
        raise RequestError(
            f"{paths.config} is no exported model, which has weights and statistics beside it: `spectral-search export "
            f"RUN -o FILE.yaml` makes one."
        )
    if missing:
        raise RequestError(*missing)
    return read_yaml(paths.config)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _check_digests(paths: BundlePaths, config: dict[str, Any]) -> None:
    """Refuse weights or statistics of another export: they would load, and predict wrongly."""
    provenance = config.get("provenance")
    recorded = provenance.get("sha256") if isinstance(provenance, dict) else None
    if not isinstance(recorded, dict):
        return
    files = {"model": paths.model, "preprocessing": paths.preprocessing}
    foreign = [file for part, file in files.items() if recorded.get(part) not in (None, _digest(file.read_bytes()))]
    if foreign:
        raise RequestError(
            *(
                f"{file} is not the one that {paths.config} was written with; export the model again."
                for file in foreign
            )
        )
