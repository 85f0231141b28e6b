"""The nearest spelling of a wrong word."""

import difflib
from collections.abc import Iterable

_CLOSE = 0.6  # difflib's own threshold for a close match


def nearest(word: str, options: Iterable[str]) -> str | None:
    """The option spelt most like a word, or None when none is close."""
    matcher = difflib.SequenceMatcher(b=word.lower())
    scores: dict[str, float] = {}
    for option in options:
        matcher.set_seq1(option.lower())
        scores[option] = matcher.ratio()
    best = max(sorted(scores), key=scores.__getitem__, default=None)
    return best if best is not None and scores[best] >= _CLOSE else None
