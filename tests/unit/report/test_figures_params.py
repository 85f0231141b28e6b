"""The figure of a search's parameters."""

from made_runs import MakeRun

from spectral_search.drawing.figure import WIDE
from spectral_search.record.durable import write_atomic
from spectral_search.record.evidence import Run
from spectral_search.record.run_records import RunRecord
from spectral_search.report.figures_params import params_figure
from spectral_search.spec.run import RunSpec


def test_a_trial_without_a_number_at_the_common_epoch_is_no_point(make_run: MakeRun) -> None:
    paths = make_run()
    lines = paths.trial(2).progress_jsonl.read_text()
    write_atomic(paths.trial(2).progress_jsonl, lines.replace('"val_r2": 0.41', '"val_r2": null'))
    record = RunRecord.load(paths)
    config = RunSpec.from_dict(record.spec).with_params(record.trials[1].params)
    figure = params_figure(Run(record, config, None, "", 100), "cnn_stage1a")
    assert figure.caption.startswith("2 trials are over") and figure.draw is not None
    points = figure.draw(WIDE).axes[0].collections[0].get_offsets()
    assert len(points) == 2
