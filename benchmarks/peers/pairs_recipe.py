"""The recipe of pairs that a peer trains, in plain PyTorch, as its user would write it without spectral_search.

A Siamese residual CNN on image files: the dataset opens, decodes, resizes and turns both images of a pair in its
`__getitem__`, as PyTorch's guide to datasets of one's own teaches, and a DataLoader collates them. Training pairs are
drawn anew each epoch; val pairs are those that we measure on. All in float32, with PyTorch's own memory format.
Shape suffixes: B batch, F features of an image, H rows and columns.
"""

import math
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

Files = dict[str, Any]


def load_arrays(root: Files) -> Files:
    """Files of images, by class for training and two by two for val: they are opened where they are asked for."""
    return root


def _tensor(image: Image.Image, recipe: dict[str, Any]) -> Tensor:
    grey_HH = np.asarray(image, np.float32)
    return torch.from_numpy((grey_HH - recipe["grey_mean"]) / recipe["grey_std"])


def _opened(file: str, side: int) -> Image.Image:
    with Image.open(file) as image:
        grey = image.convert("L")
    return grey if grey.width == side else grey.resize((side, side), Image.Resampling.BILINEAR)


class TrainingPairs(Dataset[Any]):
    """Half of the pairs are of one class; every image is turned, moved and cropped a little."""

    def __init__(self, files: Files, recipe: dict[str, Any]) -> None:
        turns = 4 if recipe["quarter_turns"] else 1
        self._classes = [(names, turn) for names in files["train"] for turn in range(turns)]
        self._recipe = recipe

    def __len__(self) -> int:
        return int(self._recipe["num_train"])

    def __getitem__(self, place: int) -> tuple[Tensor, float]:
        names, turn = self._classes[self._below(len(self._classes))]
        if same := place % 2 == 0:
            first, second = torch.randperm(len(names))[:2].tolist()
            chosen = (names[first], turn), (names[second], turn)
        else:
            others = self._classes
            while (other := others[self._below(len(others))]) == (names, turn):
                pass
            chosen = (names[self._below(len(names))], turn), (other[0][self._below(len(other[0]))], other[1])
        return torch.stack([self._image(*one) for one in chosen]), float(same)

    def _image(self, file: str, turn: int) -> Tensor:
        image = _opened(file, self._recipe["side"]).rotate(90 * turn)
        return _tensor(_changed(image, self._recipe["augment"]), self._recipe)

    @staticmethod
    def _below(count: int) -> int:
        return int(torch.randint(count, ()))


class ValPairs(Dataset[Any]):
    """The same pairs each time."""

    def __init__(self, files: Files, recipe: dict[str, Any]) -> None:
        self._pairs, self._recipe = files["val"], recipe

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, place: int) -> tuple[Tensor, float]:
        first, second, same = self._pairs[place]
        return torch.stack([_tensor(_opened(f, self._recipe["side"]), self._recipe) for f in (first, second)]), same


def _changed(image: Image.Image, augment: dict[str, float]) -> Image.Image:
    """Turned, moved and made larger by chance, in one affine map as torchvision's RandomAffine makes it."""
    turned, size, across, down = (torch.rand(4) * 2.0 - 1.0).tolist()
    angle, kept = turned * math.radians(augment["rotation"]), 1.0 - (1.0 - augment["crop"]) * (0.5 + 0.5 * size)
    room = (1.0 - kept + 2.0 * augment["shift"]) * image.width / 2.0
    cos, sin, middle = kept * math.cos(angle), kept * math.sin(angle), image.width / 2.0
    to_left, to_top = middle + across * room, middle + down * room
    rows = (cos, -sin, to_left - (cos - sin) * middle, sin, cos, to_top - (sin + cos) * middle)
    border = int(np.median(np.asarray(image)[0]))  # what comes in from outside is as the border is
    return image.transform(
        image.size, Image.Transform.AFFINE, rows, resample=Image.Resampling.BILINEAR, fillcolor=border
    )


class _Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
        )
        self.second = nn.Sequential(nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs))
        self.skip: nn.Module = nn.Identity()
        if stride > 1 or inputs != outputs:
            self.skip = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x_BCHH: Tensor) -> Tensor:
        return torch.relu(self.second(self.first(x_BCHH)) + self.skip(x_BCHH))


class SiameseNetwork(nn.Module):
    """One residual encoder for both images, their features fused, and a head that gives a logit."""

    def __init__(self, recipe: dict[str, Any], fusion: str) -> None:
        super().__init__()
        channels, stride = recipe["width"], recipe["stem_stride"]
        layers: list[nn.Module] = [
            nn.Conv2d(1, channels, 3, stride, 1, bias=False), nn.BatchNorm2d(channels), nn.ReLU()
        ]  # fmt: skip
        for stage, count in enumerate(recipe["layers"]):
            outputs = recipe["width"] * 2**stage
            for block in range(count):
                layers.append(_Block(channels, outputs, 2 if stage and not block else 1))
                channels = outputs
        features, self.fusion = recipe["feat_dim"], fusion
        self.encoder = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, features))
        read = features * {"symmetric": 3, "both": 2, "difference": 1}[fusion]
        self.head = nn.Sequential(
            nn.Linear(read, recipe["head"]), nn.ReLU(), nn.Dropout(recipe["dropout"]), nn.Linear(recipe["head"], 1)
        )

    def forward(self, x_B2HH: Tensor) -> Tensor:
        a_BF, b_BF = self.encoder(torch.cat([x_B2HH[:, :1], x_B2HH[:, 1:]])).chunk(2)
        apart_BF = (a_BF - b_BF).abs()
        fused = {"symmetric": [a_BF + b_BF, apart_BF, a_BF * b_BF], "both": [apart_BF, a_BF * b_BF]}
        return self.head(torch.cat(fused.get(self.fusion, [apart_BF]), 1)).squeeze(1)


class Training:
    """One trial: a network, its optimiser and its loaders.

    Args:
        arrays: From `load_arrays`.
        recipe: Of network, images and steps.
        params: fit.lr, and what else the stage searches.
    """

    def __init__(self, arrays: Files, recipe: dict[str, Any], params: dict[str, Any]) -> None:
        torch.manual_seed(recipe["seed"])
        size = recipe["batch_size"]
        self._loader = DataLoader(TrainingPairs(arrays, recipe), batch_size=size, shuffle=True)
        self._val = DataLoader(ValPairs(arrays, recipe), batch_size=size)
        self.model = SiameseNetwork(recipe, params.get("model.fusion", recipe["fusion"]))
        decay = params.get("fit.weight_decay", recipe["weight_decay"])
        self._optimizer = torch.optim.AdamW(self.model.parameters(), params["fit.lr"], weight_decay=decay, fused=True)
        self._by_step, self._by_epoch = self._schedules(recipe)

    def _schedules(self, recipe: dict[str, Any]) -> tuple[Any, Any]:
        """What is stepped after each batch, and after each epoch."""
        schedules = torch.optim.lr_scheduler
        if recipe["schedule"] == "plateau":
            return None, schedules.ReduceLROnPlateau(self._optimizer, "max", factor=0.5, patience=3)
        steps, warm = recipe["epochs"] * len(self._loader), round(recipe["warmup_epochs"] * len(self._loader))
        rise = schedules.LinearLR(self._optimizer, 1.0 / warm, total_iters=warm)
        fall = schedules.CosineAnnealingLR(self._optimizer, T_max=steps - warm)
        return schedules.SequentialLR(self._optimizer, [rise, fall], [warm]), None

    def epoch(self) -> float:
        """Train one epoch; accuracy on the val pairs."""
        self.model.train()
        for x_B2HH, same_B in self._loader:
            loss = nn.functional.binary_cross_entropy_with_logits(self.model(x_B2HH), same_B.float())
            self._optimizer.zero_grad()
            loss.backward()
            self._optimizer.step()
            if self._by_step is not None:
                self._by_step.step()
        accuracy = self._accuracy()
        if self._by_epoch is not None:
            self._by_epoch.step(accuracy)
        return accuracy

    @torch.no_grad()
    def _accuracy(self) -> float:
        self.model.eval()
        right = [((self.model(x_B2HH) > 0) == (same_B > 0.5)).float() for x_B2HH, same_B in self._val]
        return float(torch.cat(right).mean())
