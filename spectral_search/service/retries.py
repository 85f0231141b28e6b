"""Failed trials, run again."""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from spectral_search.record.paths import RunPaths, results_root
from spectral_search.service.recorded_run import recorded_data
from spectral_search.service.run_options import RunOptions
from spectral_search.service.runs import go_on, idle_record
from spectral_search.service.shown import Shown

if TYPE_CHECKING:
    from spectral_search.record.run_records import RunRecord


def retry(
    name: str, options: RunOptions, shown: Shown, trials: Collection[int] = (), command: Sequence[str] = ()
) -> "RunRecord":
    """Run those trials of a run again that failed, whether it is over or was interrupted; that then goes on too.

    Args:
        name: The run.
        options: Where to run, as of `resume`.
        shown: Where it is shown, the reasons of the failures first.
        trials: Which of the failed ones; all where empty.
        command: The command line, for the record.

    Raises:
        RequestError: There is no such run, it is running, nothing of it failed, or its data has changed.
        KeyboardInterrupt: It was interrupted; `resume` goes on with it.
    """
    paths = RunPaths(results_root(options.results), name).require()
    from spectral_search.record.run_records import RunRecord
    from spectral_search.run.driver import told_plainly
    from spectral_search.run.retry import enter_retry, failed_trials, reasons
    from spectral_search.run.run_lock import hold

    with hold(paths), told_plainly(paths):
        record = idle_record(paths)
        numbers = failed_trials(record, trials)
        paths.require_writable()
        # Before the run's record is touched: what is refused leaves the run as it was.
        data = recorded_data(record, options, shown)
        for line in reasons(record, numbers):
            shown.say(line)
        enter_retry(record, numbers)
        return go_on(RunRecord.load(paths), data, options, shown, command)
