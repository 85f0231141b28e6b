"""An exported model at work: predictions for spectra in memory or in shards.

Shape suffixes: D noise draws, N spectra.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import torch

from spectral_search.errors import RequestError
from spectral_search.record.bundle import Bundle
from spectral_search.spec.families import family_of
from spectral_search.spec.run import RunSpec
from spectral_search.task.training import Wanted
from spectral_search.tasks.spectra.shards.content import Gathering, digests_of
from spectral_search.tasks.spectra.shards.data_root import shard_waves
from spectral_search.tasks.spectra.shards.split import Selection
from spectral_search.tasks.spectra.shards.wavelength_grids import WAVE_TOLERANCE_ANGSTROM
from spectral_search.tasks.spectra.training.dataset import Frozen, oracle_bins
from spectral_search.tasks.spectra.training.device_data import input_shape, measured_spectra, target_scale
from spectral_search.tasks.spectra.training.evaluation_spectra import evaluation_noise, frozen_blocks
from spectral_search.tasks.spectra.training.preprocessing import Preprocessing
from spectral_search.train.network import Network
from spectral_search.train.prediction import LoneNetwork, predict, rows_at_once


@dataclass(frozen=True)
class Predictions:
    """Labels of the shards' spectra with `log_g_predicted` (dex) beside them.

    Attributes:
        table: One row a spectrum.
        noise: Where its noise came from, in words.
        content: Digests of what was read, see `data.content`.
        provenance: What they were made with and from, plain values.
    """

    table: pd.DataFrame
    noise: str
    content: dict[str, str] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)


class Predictor:
    """A network with the weights of a bundle.

    Args:
        bundle: The exported model.
        device: Where it runs.

    Raises:
        RequestError: The weights are not those of the network that the config describes.
    """

    def __init__(self, bundle: Bundle, device: torch.device) -> None:
        self.config = RunSpec.from_dict(bundle.config).base
        self.origin = int(bundle.provenance.get("trial", 0)), int(bundle.provenance.get("epoch", 0))
        """Trial and epoch of the run that the model is from."""
        self.prep = Preprocessing.from_arrays(bundle.preprocessing)
        self._device = device
        self._network = Network(self.config, input_shape(self.config.data.input, self.prep), device)
        try:
            self._network.model.load_state_dict({name: torch.tensor(v) for name, v in bundle.weights.items()})
        except RuntimeError as error:
            raise RequestError(
                "The exported weights are not those of the network in the exported config "
                f"({str(error).splitlines()[-1].strip()}): export the model again."
            ) from error

    def predict(self, frozen: Frozen) -> np.ndarray:
        """Predicted log g in dex of shape (D, N)."""
        measured = measured_spectra(frozen, self.prep, self.config.data.noise_level, self._device)
        wanted = {self._network.input_key: Wanted(self.config, self._network.input_format)}
        rows = rows_at_once(self.config.fit.batch_size)
        return predict([LoneNetwork(self._network)], measured, wanted, target_scale(self.prep), rows)[0]

    def predict_shards(
        self,
        selection: Selection,
        *,
        observed: bool = False,
        accept: Callable[[pd.DataFrame], None] = lambda labels: None,
    ) -> Predictions:
        """Predict every selected spectrum once, at constant memory.

        At noise level 1 noisy spectra are taken as the shards hold them. Shards without, and models of other levels,
        get one frozen draw of noise at the model's level. With `observed` the flux counts as noisy already. `accept` is
        shown the labels before any work, and may refuse them.

        Raises:
            RequestError: The shards are on another wavelength grid than the model was trained on, or lack the T_eff
                and [M/H] that a mixture with an oracle gate must be told.
        """
        self.require_grid(selection)
        labels = selection.labels()
        accept(labels)
        unknown = int((oracle_bins(labels) < 0).sum())
        if family_of(self.config.model.kind).needs_bin(self.config.model) and unknown:
            raise RequestError(
                f"{unknown} spectra lack T_eff or [M/H], which the model's oracle gate must be told: "
                "give labelled shards, or train the mixture with a learned gate."
            )
        data, gathering = self.config.data, Gathering(selection)
        noise = evaluation_noise(selection, data.noise_level, observed=observed)
        blocks = frozen_blocks(selection, labels, self.prep, noise, data.split_seed, gathering)
        parts = [self.predict(frozen)[0] for frozen in blocks]
        content = digests_of(selection, gathering.whole())
        return Predictions(labels.assign(log_g_predicted=np.concatenate(parts)), noise.told, content)

    def require_grid(self, selection: Selection) -> None:
        """Refuse shards on another wavelength grid; those that do not say theirs are taken at the number of pixels.

        Raises:
            RequestError: The grid is another one.
        """
        if selection.pixels != self.prep.pixels:
            raise RequestError(
                f"The model reads spectra of {self.prep.pixels} pixels and these shards have {selection.pixels}: "
                "give shards on the wavelength grid it was trained on."
            )
        own_L = self.prep.wave_angstrom_L
        for name, wave in (shard_waves(selection.shards) if len(own_L) else {}).items():
            wave_L = np.asarray(wave.centres_angstrom_L)
            apart = float(np.max(np.abs(wave_L - own_L)))
            # Those that it was trained on may have been stored in as few digits.
            allowed = WAVE_TOLERANCE_ANGSTROM + 2 * wave.rounding_angstrom
            if not apart <= allowed and float(np.max(np.abs(wave_L[::-1] - own_L))) <= allowed:
                raise RequestError(
                    f"The spectra of {name} are those of the model's grid in the other order of wavelengths: turn the "
                    "spectra and wavelengths of the shard round."
                )
            if not apart <= allowed:
                raise RequestError(
                    f"The model reads spectra from {own_L[0]:.3f} to {own_L[-1]:.3f} Angstrom and those of {name} go "
                    f"from {wave_L[0]:.3f} to {wave_L[-1]:.3f}, up to {apart:.3g} Angstrom apart (allowed "
                    f"{WAVE_TOLERANCE_ANGSTROM:g}): give shards on the wavelength grid it was trained on, or resample "
                    "them onto it."
                )
