"""What options say of a spec."""

from pathlib import Path

from command_line import write_spec

from spectral_search.service.run_options import RunOptions
from spectral_search.spec.load import load_spec


def test_this_machine_takes_the_place_of_a_cluster_that_the_spec_names(tmp_path: Path) -> None:
    spec = write_spec(tmp_path / "small.yaml", "model: {kind: mlp}\nresources: {address: 'gone:6379'}\n")
    for address, expected in (("none", None), (None, "gone:6379"), ("other:1", "other:1")):
        options = RunOptions(address=address)
        assert load_spec(str(spec), overrides=options.overrides()).resources.address == expected
    assert RunOptions(address="none").explicit() == {"resources.address"}
