"""An exported model whose predictions trials learn from, made once a batch for all that share it.

Shape suffixes: B batch, O outputs.
"""

from collections.abc import Callable
from pathlib import Path

import torch

from spectral_search.errors import RequestError
from spectral_search.record.bundle import read_bundle
from spectral_search.spec.run import RunSpec, TrialConfig
from spectral_search.task.training import TrainBatch, Wanted
from spectral_search.train.network import Network
from spectral_search.train.prediction import LoneNetwork
from spectral_search.train.techniques.loss import loss_of


class Teacher:
    """A trained network on the device that trains.

    Args:
        model: The exported model.
        network: Makes a network of a configuration, for this task's data.

    Raises:
        RequestError: The model cannot be read, or reads other examples.
    """

    def __init__(self, model: Path, network: Callable[[TrialConfig], Network]) -> None:
        bundle = read_bundle(model)
        self.key, self.config = f"taught by {model}", RunSpec.from_dict(bundle.config).base
        self.of_classes = loss_of(self.config.fit).of_classes
        made = network(self.config)
        try:
            made.model.load_state_dict({name: torch.tensor(value) for name, value in bundle.weights.items()})
        except RuntimeError as error:
            reason = str(error).splitlines()[0]
            raise RequestError(f"fit.distill.model: {model} does not fit these examples ({reason}).") from error
        made.model.requires_grad_(False)
        self._network, self.input_key = LoneNetwork(made), made.input_key
        self.wanted = Wanted(self.config, made.input_format)

    @torch.no_grad()
    def outputs(self, batch: TrainBatch) -> torch.Tensor:
        """What it makes of the examples of a batch as they are, float32 of shape (B,) or (B, O)."""
        # An input is made in the widest format that any of its readers wants.
        x_BCL = batch.inputs[self.input_key].to(self.wanted.format)
        return self._network.outputs(x_BCL, batch.context_B).squeeze(0)
