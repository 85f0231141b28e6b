"""The spectra of a search on the device of a process, as training asks for them.

Shape suffixes: D noise draws, N spectra, L pixels.
"""

from collections.abc import Iterator, Mapping

import numpy as np
import torch

from spectral_search.spec.run import TrialConfig
from spectral_search.task.training import InputShape, MeasuredPart, Reader, TargetScale, TrainBatch, Wanted
from spectral_search.tasks.spectra.definition import TASK
from spectral_search.tasks.spectra.scores import scores
from spectral_search.tasks.spectra.section import SUBSPACE_INPUTS, InputSpec
from spectral_search.tasks.spectra.signal.components import ComponentSource
from spectral_search.tasks.spectra.training.dataset import Dataset, Frozen, shared_tensor
from spectral_search.tasks.spectra.training.frozen_inputs import FrozenInputs, keep_bytes
from spectral_search.tasks.spectra.training.input_feed import Feed, InputFormat
from spectral_search.tasks.spectra.training.input_transforms import InputTransform, input_pixels
from spectral_search.tasks.spectra.training.preprocessing import Preprocessing
from spectral_search.tasks.spectra.training.streamed_spectra import ReadBlocks, read_plainly
from spectral_search.tasks.spectra.training.train_source import train_source
from spectral_search.tasks.spectra.training.training_batches import TrainSource

_PIXELS, _COMPONENTS = "pixels", "components"
"""The sources of batches."""


class SpectraOnDevice:
    """Training spectra in pixels, in components or in both, and the frozen val spectra.

    Args:
        dataset: The spectra.
        device: Where networks train.
        share: Part of the device that this process may fill.
        reader: What reads spectra that are streamed.
    """

    constants: Mapping[str, torch.Tensor] = {}

    def __init__(self, dataset: Dataset, device: torch.device, share: float = 1.0, reader: Reader = "thread") -> None:
        self._dataset, self._device = dataset, device
        self.scale = target_scale(dataset.prep)
        self.objective, self.metrics = TASK.objective, TASK.metrics
        self._sources: dict[str, TrainSource | ComponentSource] = {}
        if dataset.train is not None:
            self._sources[_PIXELS] = train_source(dataset, device, _read_blocks(reader), share)
        if dataset.components is not None:
            self._sources[_COMPONENTS] = ComponentSource(dataset.components, device)
        self._inputs = _Inputs(dataset.prep, dataset.noise_level, device)
        self._feed = Feed(dataset.noise_level, device)
        self._val = MeasuredSpectra(dataset.val, self._inputs, keep_bytes(device, share))

    @property
    def examples(self) -> int:
        return self._dataset.train_spectra

    @property
    def values(self) -> int:
        return self._dataset.prep.pixels

    @property
    def examples_name(self) -> str:
        return "spectra"

    def shape(self, config: TrialConfig) -> InputShape:
        return input_shape(config.data.input, self._dataset.prep)

    def source(self, config: TrialConfig) -> str:
        """In components where the trial's input is made of them, else in pixels."""
        in_components = config.data.input.kind in SUBSPACE_INPUTS and _COMPONENTS in self._sources
        name = _COMPONENTS if in_components else _PIXELS
        if name not in self._sources:
            raise ValueError(f"this dataset holds no spectra for the input {config.data.input.kind}")
        return name

    def steps(self, config: TrialConfig) -> int:
        return self._sources[self.source(config)].steps(config.fit.batch_size)

    def batches(
        self,
        wanted: Mapping[str, Wanted],
        source: str,
        batch_size: int,
        order: tuple[int, int],
        counter: tuple[int | str, ...],
    ) -> Iterator[TrainBatch]:
        formats = self._inputs.formats(wanted)
        for batch in self._sources[source].epoch(*order, batch_size):
            inputs = self._feed.inputs(batch, formats, *counter, batch.index)
            yield TrainBatch(batch.index, inputs, self.scale.standardise(batch.log_g_B), batch.bin_B)

    def targets(self) -> torch.Tensor:
        return self.scale.standardise(shared_tensor(self._dataset.train_log_g_N))

    def measured(self, examples: Frozen) -> "MeasuredSpectra":
        return self._val if examples is self._dataset.val else MeasuredSpectra(examples, self._inputs, kept_bytes=0)

    def val_scores(self, predicted_DN: np.ndarray) -> dict[str, float]:
        return scores(predicted_DN, np.broadcast_to(self._dataset.val.log_g_N, predicted_DN.shape))


class MeasuredSpectra:
    """Spectra whose noise is frozen, with the inputs that networks read of them.

    Args:
        frozen: The noisy spectra.
        inputs: Makes transforms.
        kept_bytes: How much memory inputs may take from one call to the next.
    """

    def __init__(self, frozen: Frozen, inputs: "_Inputs", kept_bytes: int) -> None:
        self._inputs, self._frozen = inputs, FrozenInputs(frozen, inputs.device, kept_bytes)
        self.draws, self.count = self._frozen.draws, self._frozen.count

    def parts(self, wanted: Mapping[str, Wanted], rows: int) -> Iterator[MeasuredPart]:
        return self._frozen.parts(self._inputs.formats(wanted), rows)


def measured_spectra(frozen: Frozen, prep: Preprocessing, noise_level: float, device: torch.device) -> MeasuredSpectra:
    """Spectra for a model that is not in training."""
    return MeasuredSpectra(frozen, _Inputs(prep, noise_level, device), kept_bytes=0)


class _Inputs:
    """Transforms by input, each made once."""

    def __init__(self, prep: Preprocessing, noise_level: float, device: torch.device) -> None:
        self._prep, self._noise_level, self.device = prep, noise_level, device
        self._made: dict[str, InputTransform] = {}

    def formats(self, wanted: Mapping[str, Wanted]) -> dict[str, InputFormat]:
        return {key: InputFormat(self._transform(want.config.data.input), want.format) for key, want in wanted.items()}

    def _transform(self, spec: InputSpec) -> InputTransform:
        key = spec.model_dump_json()
        if key not in self._made:
            self._made[key] = InputTransform(spec, self._prep, self._noise_level, self.device)
        return self._made[key]


def target_scale(prep: Preprocessing) -> TargetScale:
    """Of log g in dex."""
    return TargetScale(prep.target_mean_dex, prep.target_std_dex)


def input_shape(spec: InputSpec, prep: Preprocessing) -> InputShape:
    """What the network of an input reads."""
    return InputShape(spec.channels, input_pixels(spec, prep))


def _read_blocks(reader: Reader) -> ReadBlocks:
    if reader == "thread":
        return read_plainly
    from spectral_search.tasks.spectra.shards.ray_blocks import iter_blocks_ray  # Ray Data takes a second to import

    return iter_blocks_ray
