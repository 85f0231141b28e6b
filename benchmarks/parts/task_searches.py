"""A search of another task than spectra beside Ray Tune as its guides teach it, on the same images or readings."""

import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from benchmarks.bench_context import BenchContext
from benchmarks.bench_findings import Findings, Row, Target
from benchmarks.timed_searches import ours, peer
from spectral_search.errors import RequestError
from spectral_search.spec.load import load_spec, packaged_specs_dir
from spectral_search.spec.run import RunSpec
from spectral_search.tasks.pairs.images.image_files import ENDINGS, PARTS
from spectral_search.tasks.pairs.images.image_splits import parts_of_classes
from spectral_search.tasks.pairs.images.pair_source import DRAWN, find_pairs
from spectral_search.tasks.pairs.images.pixels import decoded
from spectral_search.tasks.pairs.section import PairData
from spectral_search.tasks.pairs.training.pair_set import GreyScale
from spectral_search.tasks.traffic.road_simulator import simulate_roads
from spectral_search.train.devices import cpu_count

_SPLIT_SEED = 42
_DAYS, _ROADS, _SENSORS_A_ROAD = 14, 8, 4
"""Of the readings that are made where none are given."""
_HISTORY = 24
"""Steps before every window: the most that a trial of traffic_mlp reads."""
_PHYSICS = (
    "Both search the same space on the same data with the same network, recipe and number of trials and epochs, each "
    "with its own proposals and stopping rule: Ray Tune has OptunaSearch, ASHA with its defaults (an epoch at least, "
    "one in four goes on), a DataLoader a trial with the defaults of PyTorch, examples made one by one in the "
    "dataset's __getitem__ - images opened, decoded and turned there, windows cut out there - and two trials at a "
    "time. Times are from the command to its end, imports and cluster included, for ours also the winner's export, its "
    "re-test and the test set; further finalists and copies with other seeds, which no peer trains, are left out. CPU "
    "time is of all processes together, looked at four times a second."
)


@dataclass(frozen=True)
class Sizes:
    """Trials, epochs of each, and training and val examples at most."""

    trials: int
    epochs: int
    train: int | None = None
    val: int | None = None


@dataclass(frozen=True)
class Beside:
    """A search in our terms and in those of a peer.

    Attributes:
        stage: Of the package.
        root: Data root of ours.
        theirs: What the peer loads.
        recipe: That the peer trains.
        mode: max or min, of the objective.
        sets: Further settings of ours.
    """

    stage: str
    root: Path
    theirs: Any
    recipe: dict[str, Any]
    mode: str
    sets: tuple[str, ...] = ()


_FULL = Sizes(12, 10)
_QUICK = Sizes(3, 2, 256, 128)
_SOONER = Target("at most", 0.5)


def measure(context: BenchContext) -> Findings:
    """Ours and Ray Tune, one after the other."""
    sizes = _QUICK if context.quick else _FULL
    beside = MAKERS[context.task](context, sizes)
    context.say(f"search: {sizes.trials} trials of {beside.stage}, {sizes.epochs} epochs")
    mine = ours(_arguments(beside, sizes), context.scratch, _OBJECTIVES[context.task])
    context.say(f"  ours: {mine.seconds:.1f} s, {mine.cpu_seconds:.1f} s of CPU, best {mine.best:.4f}")
    theirs = peer("ray_tune", peer_config(context.task, beside, sizes), context.scratch)
    context.say(f"  Ray Tune: {theirs.seconds:.1f} s, {theirs.cpu_seconds:.1f} s of CPU, best {theirs.best:.4f}")
    sign = 1.0 if beside.mode == "max" else -1.0
    name, slack = _OBJECTIVES[context.task][0], _WITHIN[context.task]
    rows = [
        Row("ours from the command to its end", mine.seconds, "s", "Ray Tune", theirs.seconds, _SOONER),
        Row("CPU time of ours", mine.cpu_seconds, "s", "Ray Tune", theirs.cpu_seconds, _SOONER),
        Row("epochs that ours trained", mine.epochs_trained, "", "Ray Tune", theirs.epochs_trained),
        Row(f"best {name} better than that of Ray Tune by", sign * (mine.best - theirs.best), "", target=slack),
    ]
    return Findings(rows, _PHYSICS, details={"ours": vars(mine), "ray_tune": vars(theirs)})


def _arguments(beside: Beside, sizes: Sizes) -> list[str]:
    """What follows `spectral-search run`."""
    sets = [f"data.{key}={value}" for key, value in (("num_train", sizes.train), ("num_val", sizes.val)) if value]
    # One winner of one seed, as the peer has it.
    alike = ("search.finalists=1", "search.retest_seeds=1")
    options = [part for text in (*alike, *sets, *beside.sets) for part in ("--set", text)]
    limits = ["--trials", str(sizes.trials), "--epochs", str(sizes.epochs)]
    return [beside.stage, "--data-root", str(beside.root), *limits, *options]


def peer_config(task: str, beside: Beside, sizes: Sizes) -> dict[str, Any]:
    """The same search in the peer's terms."""
    spec = _packaged(beside.stage)
    return {
        "task": task,
        "mode": beside.mode,
        "root": beside.theirs,
        "trials": sizes.trials,
        "scheduler": {},
        "space": {key: domain.to_yaml() for key, domain in spec.space.items()},
        "cpus_per_trial": max(1, cpu_count() // 2),
        "recipe": {
            "epochs": sizes.epochs,
            "batch_size": spec.fit.batch_size,
            "seed": spec.search.seed,
            **beside.recipe,
        },
    }


def _packaged(stage: str) -> RunSpec:
    return load_spec(str(packaged_specs_dir() / f"{stage}.yaml"), environ={})


# ---- pairs ----


def _pairs(context: BenchContext, sizes: Sizes) -> Beside:
    """Image files in folders by part and class: those of a zip by classes, else scikit-learn's digits by images."""
    root = context.scratch / "images"
    stage = "pairs_stage1" if context.data_root is None else "pairs_drawings"
    if context.data_root is None:
        _write_digits(root)
    else:
        _unpack(context.data_root, root)
    spec = _packaged(stage)
    data: PairData = spec.data.model_copy(update={"root": str(root), "num_val": sizes.val})
    found = find_pairs(data)
    scale = GreyScale.of(found.parts["train"].images_MP)
    train = [sorted(map(str, folder.iterdir())) for folder in _class_folders(root / "train")]
    model, fit = spec.base.model.model_dump(), spec.fit
    kept = ("layers", "width", "stem_stride", "feat_dim", "fusion", "dropout")
    recipe = {
        **{key: model[key] for key in kept},
        "head": model["head"][0],
        "side": found.data.size,
        "grey_mean": scale.mean,
        "grey_std": scale.std,
        "num_train": sizes.train or data.num_train or DRAWN["train"],
        "quarter_turns": data.quarter_turns,
        "augment": {key: getattr(fit.augment[0], key) for key in ("rotation", "shift", "crop")},
        "schedule": fit.schedule,
        "warmup_epochs": fit.warmup_epochs,
        "weight_decay": fit.weight_decay,
    }
    return Beside(stage, root, {"train": train, "val": _val_pairs(root, found)}, recipe, "max")


def _write_digits(root: Path) -> None:
    """Scikit-learn's digits as image files, in the parts that a search on them has."""
    for part, held in find_pairs(PairData()).parts.items():
        assert held.class_M is not None  # digits are known
        for row, (image_P, label) in enumerate(zip(held.images_MP, held.class_M, strict=True)):
            file = root / part / held.names[label] / f"{row:04}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image_P.reshape(held.side, held.side)).save(file)


def _unpack(archive: Path, root: Path) -> None:
    """The images of a zip, a folder a class, classes shared out into parts."""
    try:
        with zipfile.ZipFile(archive) as opened:
            names = sorted(name for name in opened.namelist() if Path(name).suffix.lower() in ENDINGS)
            folders = sorted({str(Path(name).parent) for name in names})
            class_M = np.array([folders.index(str(Path(name).parent)) for name in names])
            for name, label, part in zip(
                names, class_M, parts_of_classes(class_M, (0.15, 0.15), _SPLIT_SEED), strict=True
            ):
                file = root / PARTS[part] / f"{label:05}" / Path(name).name
                file.parent.mkdir(parents=True, exist_ok=True)
                with opened.open(name) as held, file.open("wb") as written:
                    shutil.copyfileobj(held, written)
    except (OSError, zipfile.BadZipFile, ValueError) as error:
        raise RequestError(f"{archive} is no zip of images in folders by class ({error}): give another.") from None


def _class_folders(part: Path) -> list[Path]:
    return sorted(folder for folder in part.iterdir() if folder.is_dir())


def _val_pairs(root: Path, found: Any) -> list[tuple[str, str, float]]:
    """The pairs that ours measures on, by the files of their images, which are told by what they show."""
    val = found.parts["val"]
    files = sorted(str(path.relative_to(root)) for path in (root / "val").rglob("*.*"))
    side = found.data.size
    place = {decoded((root / file).read_bytes(), file, side).tobytes(): str(root / file) for file in files}
    of_row = [place[image_P.tobytes()] for image_P in val.images_MP]
    return [
        (of_row[first], of_row[second], float(same))
        for first, second, same in zip(val.first_N, val.second_N, val.same_N, strict=True)
    ]


# ---- traffic ----


def _traffic(context: BenchContext, sizes: Sizes) -> Beside:
    """Readings as a CSV: those that are given, else two simulated weeks."""
    root = context.scratch / "readings.csv"
    if context.data_root is None:
        made = simulate_roads(_DAYS, _ROADS, _SENSORS_A_ROAD)
        table = pd.DataFrame(np.nan_to_num(made.values_TS, nan=0.0), columns=list(made.sensors))
    else:
        try:
            table = pd.read_csv(context.data_root)
        except (OSError, ValueError) as error:
            raise RequestError(f"{context.data_root} is no CSV of readings ({error}): give another.") from None
    table.to_csv(root, index=False)
    spec = _packaged("traffic_mlp")
    recipe = {
        "grad_clip": spec.fit.grad_clip,
        "history": _HISTORY,
        "num_train": sizes.train or len(table),
        "num_val": sizes.val or len(table),
    }
    return Beside("traffic_mlp", root, str(root), recipe, "min", (f"data.history={_HISTORY}",))


MAKERS: dict[str, Callable[[BenchContext, Sizes], Beside]] = {"pairs": _pairs, "traffic": _traffic}
"""The searches by task."""
_OBJECTIVES = {"pairs": ("val_accuracy", True), "traffic": ("val_mae", False)}
"""What records call the objective, and whether higher is better."""
_WITHIN = {"pairs": Target("at least", -0.02), "traffic": Target("at least", -0.05)}
"""How much worse the best may be and still be called equal: 2,000 pairs have a standard error of 0.006 at 0.92, and
val windows of a day and a half, whose neighbours are alike, one of several hundredths."""
