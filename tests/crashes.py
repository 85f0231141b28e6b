"""Death at a chosen write: a child process that ends, as by SIGKILL, just before its n-th durable change.

The changes counted are renames, syncs, truncations and removals of files and commits of the database: whatever a
search leaves behind is made of these. The child is forked, so that torch and Optuna are loaded once for all deaths.
"""

import os
import sys
import traceback
from collections.abc import Callable
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine

DIED = 137
RAISED = 99


def dies_at(change: int, work: Callable[[], object]) -> bool:
    """Do the work in a child that dies before its n-th durable change; whether it died, or ended on its own before.

    Raises:
        AssertionError: The work itself raised.
    """
    child = os.fork()
    if child == 0:
        _work_and_die(change, work)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code in (0, DIED), f"the work ended with exit code {code}"
    return code == DIED


def _work_and_die(change: int, work: Callable[[], object]) -> None:
    left = change

    def count() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os._exit(DIED)

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*args: Any, **options: Any) -> Any:
            count()
            return function(*args, **options)

        return wrapper

    for name in ("fsync", "replace", "rename", "unlink", "mkdir"):
        setattr(os, name, counted(getattr(os, name)))
    event.listen(Engine, "commit", lambda connection: count())
    try:
        work()
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(RAISED)
    os._exit(0)
