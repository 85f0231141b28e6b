"""Methods with a wanted R2 on made-up test spectra, for tests of verdicts and figures."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from spectral_search.record.evidence import Evidence, Run
from spectral_search.record.methods import Method
from spectral_search.record.reporting import reporting_of
from spectral_search.tasks.spectra.definition import TASK
from spectral_search.tasks.spectra.report.baseline_methods import BASELINES
from spectral_search.tasks.spectra.scores import scores


def made_labels(count: int = 2000, seed: int = 0) -> pd.DataFrame:
    """Labels over the ranges of real ones."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "id": np.arange(count),
            "log_g": rng.uniform(1.0, 5.0, count),
            "T_eff": rng.uniform(3750.0, 6000.0, count),
            "M_H": rng.uniform(-1.0, 0.75, count),
            "snr": np.exp(rng.uniform(np.log(2.8), np.log(28.0), count)),
        }
    )


def made_method(
    name: str,
    family: str = "MLP",
    *,
    r2: float = 0.5,
    train_size: int = 100_000,
    labels: pd.DataFrame | None = None,
    with_predictions: bool = True,
    seed: int = 1,
    **changes: object,
) -> Method:
    """A method whose R2 is about `r2`.

    Args:
        name: Its name.
        family: MLP, CNN, Ridge, ...
        r2: R2 against the labels.
        train_size: Training spectra.
        labels: Of the test spectra.
        with_predictions: Whether its predictions are there, or its scores alone.
        seed: Of its errors; methods with the same seed err on the same spectra, as real ones do.
        changes: Other fields.
    """
    labels = made_labels() if labels is None else labels
    true_N = labels["log_g"].to_numpy()
    errors_N = np.random.default_rng(seed).normal(0.0, 1.0, len(true_N))
    errors_N *= np.sqrt((1.0 - r2) * true_N.var() / np.mean(errors_N**2))
    about = next((method for method in BASELINES.values() if method.family == family), None)
    fields: dict[str, object] = {
        "input": "standardize",
        "test_set": "one",
        "fair": about is None or about.role != "bound",
        "role": "network" if about is None else about.role,
        "called": "" if about is None else about.called,
        **changes,
        "facts": {"noise_level": 1.0, **changes.get("facts", {})},  # type: ignore[dict-item]
    }
    if with_predictions:
        fields |= {"labels": labels, "target_N": true_N, "predicted_N": true_N + errors_N}
    return Method(
        name=name,
        family=family,
        objective=TASK.objective,
        train_size=train_size,
        scores=scores(true_N + errors_N, true_N),
        **fields,
    )


def made_evidence(methods: Sequence[Method]) -> Evidence:
    """What a report knows where these were measured on one test set; of the runs it knows no more than the winners."""
    runs = [Run(None, None, method, method.test_set, method.train_size) for method in methods if not method.is_baseline]  # type: ignore[arg-type]
    baselines = [method for method in methods if method.is_baseline]
    return Evidence(TASK, reporting_of(TASK), runs, [], baselines, [])
