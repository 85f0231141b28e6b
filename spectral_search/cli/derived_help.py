"""Help texts that say what a key of a spec allows, filled in when they are asked for: only then are specs loaded."""

import re
from typing import Any

from typer.core import TyperCommand, TyperOption


class DerivedHelp(TyperCommand):
    """A verb in whose options' help {search.sampler} stands for what that key allows."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Fill in, then as always."""
        for option in self.params:
            if isinstance(option, TyperOption) and option.help is not None:
                option.help = re.sub(r"\{([a-z_.]+)\}", _allowed, option.help)
        super().format_help(ctx, formatter)


def _allowed(key: re.Match[str]) -> str:
    if key[1] == "task":
        from spectral_search.spec.task_modules import DEFAULT_TASK

        return DEFAULT_TASK
    if key[1] == "tasks":
        from spectral_search.spec.task_modules import task_names

        return ", ".join(task_names())
    from spectral_search.spec.keys import all_leaves, allowed

    leaf = all_leaves().get(key[1])
    return key[0] if leaf is None else allowed(leaf)  # what a task says of its options may have braces of its own
