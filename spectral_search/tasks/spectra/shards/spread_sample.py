"""A sample of a selection: runs of neighbours, spread evenly over it. Neighbours share chunks, which are read whole."""

import numpy as np

from spectral_search.tasks.spectra.shards.split import Selection

_RUNS = 64


def spread(selection: Selection, most: int) -> Selection:
    """At most so many spectra of a selection, in `RUNS` runs; all of them where there are no more."""
    count = len(selection)
    if count <= most:
        return selection
    run = max(1, most // _RUNS)
    starts = np.unique(np.linspace(0, count - run, max(1, most // run)).astype(np.int64))
    return selection.take(np.unique((starts[:, None] + np.arange(run)).ravel()))
