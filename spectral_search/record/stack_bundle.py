"""A stack as an exported model: its models with all that they need, and the trees over what they predict.

It has the four files of any bundle. The arrays of each model are held under its number, the trees as LightGBM's own
text. Nothing in it is a pickle, and nothing is needed beside it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from spectral_search.errors import RequestError
from spectral_search.record.bundle import Bundle, BundlePaths, write_bundle
from spectral_search.record.stacking import Kind, Trees, folds
from spectral_search.task.preparation import Examined

_SECTION = "stack"


@dataclass(frozen=True)
class Stack:
    """A stack.

    Attributes:
        names: Of its models, as they were given.
        models: They.
        trees: Over what they predict.
        seed: Of the folds.
        val: Says which val examples the trees were fitted on.
    """

    names: tuple[str, ...]
    models: tuple[Bundle, ...]
    trees: Trees
    seed: int
    val: str

    @classmethod
    def of(cls, bundle: Bundle) -> "Stack | None":
        """That a bundle holds; None where it is one model.

        Raises:
            RequestError: A part of it is missing.
        """
        if not is_stack(bundle.config):
            return None
        try:
            section = bundle.config[_SECTION]
            models = tuple(_unpacked(bundle, number, held) for number, held in enumerate(section["models"]))
            texts = tuple(bundle.weights[f"fold.{fold}"].tobytes().decode() for fold in range(section["folds"]))
            trees = Trees(Kind(section["classes"], section["logits"]), texts)
            names = tuple(held["name"] for held in section["models"])
            return cls(names, models, trees, section["seed"], section["val_sha256"])
        except (KeyError, TypeError) as fault:
            raise RequestError(f"The stack lacks {fault}: stack its models again.") from None

    def write(self, file: Path, task: str, metrics: Mapping[str, Any], provenance: Mapping[str, Any]) -> BundlePaths:
        """Write it as a bundle.

        Args:
            file: The YAML file.
            task: Of its models.
            metrics: What it reached.
            provenance: Where it comes from.

        Raises:
            OSError: It cannot be written.
        """
        held = [
            {"name": name, "config": model.config, "metadata": model.preprocessing_metadata}
            for name, model in zip(self.names, self.models, strict=True)
        ]
        kind, texts = self.trees.kind, self.trees.texts
        section = {"folds": len(texts), "seed": self.seed, "classes": kind.classes, "logits": kind.logits}
        config = {
            "task": task,
            _SECTION: {**section, "val_sha256": self.val, "models": held},
            "provenance": dict(provenance),
        }
        weights = _packed([model.weights for model in self.models])
        # As bytes, since a safetensors file holds numbers.
        weights |= {f"fold.{fold}": np.frombuffer(text.encode(), np.uint8) for fold, text in enumerate(texts)}
        return write_bundle(file, config, weights, _packed([model.preprocessing for model in self.models]), metrics)

    def predictions(self, examined: Sequence[Examined]) -> np.ndarray:
        """Of the stack, (D, N) or (D, N, O), from what its models predict for the same examples.

        Val examples that it was fitted on are predicted by the trees that saw nothing of them.
        """
        first, predicted_KDN = examined[0], np.stack([one.predicted_DN for one in examined])
        if first.part == "val" and val_digest(first) == self.val:
            made = folds(len(first.target_N), first.group_NG, self.seed, len(self.trees.texts))
            return self.trees.out_of_fold(predicted_KDN, made)
        return self.trees.combined(predicted_KDN)


def is_stack(config: Mapping[str, Any]) -> bool:
    """Whether the config of an exported model is that of a stack."""
    return isinstance(config.get(_SECTION), dict)


def val_digest(examined: Examined) -> str:
    """Names val examples by their targets and groups."""
    held = [examined.target_N, *([] if examined.group_NG is None else [examined.group_NG])]
    return sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in held)).hexdigest()


def _packed(parts: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {f"{number}.{name}": array for number, part in enumerate(parts) for name, array in part.items()}


def _unpacked(bundle: Bundle, number: int, held: Mapping[str, Any]) -> Bundle:
    # With its dot, or model 1 would take what is of model 10.
    prefix = f"{number}."
    weights, preprocessing = (
        {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
        for arrays in (bundle.weights, bundle.preprocessing)
    )
    return Bundle(held["config"], weights, preprocessing, {}, held["metadata"])


@dataclass(frozen=True)
class StackedPredictor:
    """A stack at work, see `task.preparation.Predictor`."""

    trees: Trees
    members: Sequence[Any]

    @property
    def config(self) -> Any:
        """That of its first model, whose data section says how examples are read; all of its models read the same."""
        return self.members[0].config

    def predict(self, examples: Any) -> np.ndarray:
        """Predictions of shape (D, N)."""
        return self.trees.combined(np.stack([member.predict(examples) for member in self.members]))


def at_work(bundle: Bundle, make: Callable[[Bundle], Any]) -> Any:
    """What predicts with an exported model, a stack or not.

    Args:
        bundle: The model.
        make: Makes what predicts with one that is not.
    """
    stack = Stack.of(bundle)
    return make(bundle) if stack is None else StackedPredictor(stack.trees, [make(model) for model in stack.models])
