"""The inputs of spectra whose noise is frozen: the same in every epoch, so made once and kept where memory allows.

Shape suffixes: D noise draws, N spectra, B spectra at a time, C channels, K pixels kept.
"""

from collections.abc import Iterator, Mapping

import torch

from spectral_search.models.threads import for_each
from spectral_search.task.training import MeasuredPart
from spectral_search.tasks.spectra.training.dataset import Frozen, shared_tensor
from spectral_search.tasks.spectra.training.input_feed import InputFormat, stripes

_KEEP_BYTES = 1 << 30
"""Kept in the host's memory at most: 10,000 noisy spectra of 4,096 pixels take 82 MB in bfloat16, 164 MB in float32."""
_DEVICE_SHARE = 0.125
"""Part of a process's share of a GPU's memory that may be kept."""


def keep_bytes(device: torch.device, share: float) -> int:
    """How much memory inputs may take on a device of which this process may fill a share."""
    if device.type != "cuda":
        return _KEEP_BYTES
    return int(_DEVICE_SHARE * share * torch.cuda.mem_get_info(device)[1])


class FrozenInputs:
    """Inputs of a frozen set.

    Args:
        frozen: The noisy spectra.
        device: Where the networks are.
        keep_bytes: How much memory inputs may take from one call to the next; the oldest give way.
    """

    def __init__(self, frozen: Frozen, device: torch.device, keep_bytes: int) -> None:
        self._frozen, self._device, self._keep_bytes = frozen, device, keep_bytes
        self.draws, self.count = frozen.noisy_DNL.shape[:2]
        self._kept: dict[tuple[str, torch.dtype], torch.Tensor] = {}

    def parts(self, wanted: Mapping[str, InputFormat], rows: int) -> Iterator[MeasuredPart]:
        """All spectra in all draws, at most so many at a time."""
        kept = {key: x_DNCK for key, want in wanted.items() if (x_DNCK := self._keep(key, want)) is not None}
        for start in range(0, self.count, rows):
            part = slice(start, min(start + rows, self.count))
            bin_B = shared_tensor(self._frozen.bin_N[part], self._device)
            for draw in range(self.draws):
                inputs = {
                    key: kept[key][draw, part] if key in kept else self._made(want, draw, part)
                    for key, want in wanted.items()
                }
                yield MeasuredPart(draw, part, inputs, bin_B)

    def _keep(self, key: str, want: InputFormat) -> torch.Tensor | None:
        """The inputs of all spectra, made where they are not kept already; None where they would take too much."""
        name = key, want.format
        if name not in self._kept:
            nbytes = self.draws * self.count * want.transform.channels * want.transform.pixels * want.format.itemsize
            if nbytes > self._keep_bytes:
                return None
            while self._kept and nbytes + sum(x_DNCK.nbytes for x_DNCK in self._kept.values()) > self._keep_bytes:
                del self._kept[next(iter(self._kept))]
            x_DNCK = want.empty((self.draws, self.count), self._device)
            for draw, x_NCK in enumerate(x_DNCK):
                self._fill(x_NCK, want, draw, slice(0, self.count))
            self._kept[name] = x_DNCK
        return self._kept[name]

    def _made(self, want: InputFormat, draw: int, rows: slice) -> torch.Tensor:
        x_BCK = want.empty((rows.stop - rows.start,), self._device)
        self._fill(x_BCK, want, draw, rows)
        return x_BCK

    def _fill(self, x_BCK: torch.Tensor, want: InputFormat, draw: int, rows: slice) -> None:
        """Write the inputs of some spectra in one draw."""
        noisy_BL, error_BL = self._frozen.noisy_DNL[draw, rows], self._frozen.error_NL[rows]

        def fill(stripe: slice) -> None:
            noisy_SL = shared_tensor(noisy_BL[stripe], self._device)
            if self._frozen.in_components:
                x_BCK[stripe] = want.transform.of_components(noisy_SL)
            else:
                x_BCK[stripe] = want.transform(noisy_SL, shared_tensor(error_BL[stripe], self._device))

        for_each(fill, stripes(len(noisy_BL), self._device))
