"""Memory for spectra that is used again: fresh pages cost as much time as reading into them."""

from weakref import finalize

import numpy as np


class Buffers:
    """Lends arrays of one size and takes each back when neither it nor a view of it is left.

    A thread's freed memory often goes back to the system in spite of `keep_freed_memory`: glibc gives a thread other
    than the first a heap of its own, and drops it when it is empty. Any thread may drop what was lent.

    Args:
        rows, pixels: Of the largest array.
        count: How many are made at once, by this thread; they take no memory before they are written to.
    """

    def __init__(self, rows: int, pixels: int, count: int) -> None:
        self._shape = rows, pixels
        self._free = [self._make() for _ in range(count)]

    def lend(self, rows: int) -> np.ndarray:
        """An array (rows, pixels), float32 and contiguous, with whatever was in it before.

        One of less than half of the rows is fresh: it would keep the memory of a large one from use.
        """
        if 2 * rows < self._shape[0]:
            return np.empty((rows, self._shape[1]), np.float32)
        try:
            whole = self._free.pop()
        except IndexError:
            whole = self._make()
        # Views of an array that has its memory from something other than an array keep that array, not its memory.
        lent = np.frombuffer(whole.data, np.float32).reshape(self._shape)
        owner = lent.base
        assert isinstance(owner, np.ndarray)
        finalize(owner, self._free.append, whole).atexit = False
        return lent[:rows]

    def _make(self) -> np.ndarray:
        return np.empty(self._shape, np.float32)
