"""A program that is compiled when it is first needed."""

from collections.abc import Callable
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spectral_search.train.machine_code import Program

_COMPILING = Lock()


class CompiledOnce:
    """The functions of a program, by name; threads that need them together compile once.

    Args:
        written: Writes the program. It imports `machine_code`, which takes time that not every process has a use for.
    """

    def __init__(self, written: "Callable[[], Program]") -> None:
        self._written = written
        self._functions: dict[str, Callable[..., None]] = {}

    @property
    def ready(self) -> bool:
        """Whether calling them no longer takes the time to compile them."""
        return bool(self._functions)

    def get(self) -> dict[str, Callable[..., None]]:
        """Compile, unless that was done."""
        if not self._functions:
            with _COMPILING:
                # Asked again within the lock: another thread may have compiled meanwhile.
                self._functions = self._functions or self._written().compiled()
        return self._functions
