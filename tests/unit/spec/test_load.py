"""Finding files, stage names, environment variables, lines in faults, overrides, import time."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from spectral_search.errors import RequestError
from spectral_search.spec.load import expand, find_spec, list_specs, load_spec, packaged_specs_dir

CNN = "model: {kind: cnn}\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tune_specs").mkdir()
    return tmp_path


def write(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


def faults(ref: str, **options: Any) -> tuple[str, ...]:
    with pytest.raises(RequestError) as error:
        load_spec(ref, **options)
    return error.value.faults


def test_local_stage_shadows_the_packaged_one(folder: Path) -> None:
    assert find_spec("step1").parent == packaged_specs_dir()
    write(folder / "tune_specs" / "step1.yaml", CNN)
    assert load_spec("step1").model.kind == "cnn"
    assert next(info for info in list_specs() if info.name == "step1").path == Path("tune_specs/step1.yaml")


def test_unknown_stage_offers_the_nearest(folder: Path) -> None:
    assert "did you mean cnn_stage1a?" in faults("cnn-stage1")[0]
    assert "did you mean mvp_mlp1?" in faults("MVP-MLP-1")[0]
    assert "the stages are cnn_stage1a, " in faults("zzz")[0]
    assert "there is no file 'x/step1.yaml'" in faults("x/step1.yaml")[0]
    assert faults("")


def test_a_path_names_its_stage_unless_the_file_does(folder: Path) -> None:
    assert load_spec(write(folder / "mine.yaml", CNN)).stage == "mine"
    assert load_spec(write(folder / "other.yaml", CNN + "stage: named\n")).stage == "named"
    assert "give the file a stage key" in faults(write(folder / "my spec.yaml", CNN))[0]


def test_a_folder_stands_for_the_config_in_it(folder: Path) -> None:
    (folder / "best").mkdir()
    assert "without config.yaml or spec.yaml" in faults("./best")[0]
    write(folder / "best" / "config.yaml", CNN + "stage: exported\n")
    assert load_spec("./best").stage == "exported"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"# nothing\n", "is empty"),
        (b"- 1\n", "must hold sections such as model and fit"),
        (b"\x89HDF\r\n\x1a\n\xff\xfe", "not text in UTF-8"),
        (b"a: 1\nb: [\n", "line 3"),
        (b"x" * 1_000_001, "far more than a spec"),
    ],
)
def test_files_that_are_no_specs(folder: Path, content: bytes, words: str) -> None:
    path = folder / "bad.yaml"
    path.write_bytes(content)
    found = faults(str(path))
    assert len(found) == 1
    assert words in found[0]
    assert "bad.yaml" in found[0]


def test_faults_carry_their_line(folder: Path) -> None:
    text = "model:\n  kind: cnn\n  kernel: 7\nfit:\n  lr: 0\n  lr: 1\nspace:\n  fit.lr: {uniform: [2, 1]}\n"
    found = faults(write(folder / "bad.yaml", text))
    assert [text.rpartition("(")[2] for text in found] == [f"bad.yaml line {n})" for n in (5, 3, 5, 8)]
    assert "given twice, on lines 5 and 6" in found[0]


def test_faults_of_overrides_say_so(folder: Path) -> None:
    found = faults("step1", sets=["fit.lr=fast", "fit.epoch=3", "nonsense", "fit.lr.x=1"])
    assert len(found) == 4
    assert any("fit.lr must be" in text and text.endswith("(given on the command line)") for text in found)
    assert any("did you mean fit.epochs?" in text for text in found)
    assert any("KEY=VALUE" in text for text in found)


def test_a_fault_is_told_where_it_was_given(folder: Path) -> None:
    """What the command line replaced in the file is not what is at fault, nor is what was sound before it."""
    path = write(
        folder / "file.yaml",
        "model: {kind: mlp}\nfit:\n  epochs: 9\n  batch_size: 0\nspace:\n  fit.lr:\n    log_uniform: [1e-4, 1e-2]\n",
    )
    sound = "fit.batch_size=8"
    for wrong in ("space.fit.lr={log_uniform: [1e-2, 1e-4]}", "space.fit.lr={log_uniform: 3}", "space={fit.lr: 3}"):
        (found,) = faults(path, sets=[sound, wrong])
        assert found.endswith("(given on the command line)"), wrong
    first, second = faults(path, sets=["space.fit.lr={log_uniform: 3}"])
    assert first.endswith("(file.yaml line 4)")
    assert second.endswith("(given on the command line)")


def test_later_sets_win(folder: Path) -> None:
    assert load_spec("step1", sets=["fit.lr=0.1", "fit.lr=0.2"]).fit.lr == 0.2
    assert load_spec("step1", sets=["fit.lr=0.1", "space.fit.lr={uniform: [0.1, 0.2]}"]).space["fit.lr"].high == 0.2
    assert "fit.lr" not in load_spec("step1", sets=["space.fit.lr={uniform: [0.1, 0.2]}", "fit.lr=0.1"]).space


def test_a_set_may_repair_the_file(folder: Path) -> None:
    path = write(folder / "bad.yaml", CNN + "fit: {lr: -1}\n")
    assert load_spec(path, sets=["fit.lr=0.1"]).fit.lr == 0.1
    assert load_spec(path, sets=["fit.lr=0.1"], quick=True).fit.epochs <= 12
    assert len(faults(path, quick=True)) == 1


def test_resolved_spec_loads_equal(folder: Path) -> None:
    for quick in (False, True):
        for stage in (info.name for info in list_specs()):
            spec = load_spec(stage, sets=["fit.lr=1e-5"], quick=quick)
            assert load_spec(write(folder / "resolved.yaml", spec.to_yaml())) == spec


def test_expand() -> None:
    environ = {"A": "x", "EMPTY": "", "NESTED": "${A}"}
    assert expand("/${A}/${B:-y}/${EMPTY:-z}/${EMPTY}/$A", environ) == "/x/y/z//$A"
    assert expand("${B:-}", environ) == ""
    assert expand("${NESTED}", environ) == "${A}"
    assert expand("plain", environ) == "plain"


@pytest.mark.parametrize("text", ["${B}", "${}", "${a b}", "${A", "${A-x}"])
def test_expand_refuses(text: str) -> None:
    with pytest.raises(RequestError, match=r"\$\{"):
        expand(text, {"A": "x"})


def test_only_paths_expand_and_secrets_stay_out(folder: Path) -> None:
    text = (
        CNN
        + "description: ${A}\ndata: {root: ['${A}/a', '${B:-b}']}\nsearch: {storage: 'postgresql://u:${SECRET}@h'}\n"
    )
    path = write(folder / "mine.yaml", text)
    spec = load_spec(path, environ={"A": "/x", "SECRET": "hunter2"})
    assert spec.data.root == ["/x/a", "b"]
    assert spec.description == "${A}"
    assert spec.search.storage == "postgresql://u:${SECRET}@h"
    assert "hunter2" not in spec.to_yaml()
    found = faults(path, environ={})
    assert len(found) == 2
    assert any("data.root: the environment has no A" in text for text in found)
    assert any("search.storage: the environment has no SECRET" in text for text in found)


def test_listing_needs_no_environment_and_survives_a_broken_file(folder: Path) -> None:
    write(folder / "tune_specs" / "mine.yaml", CNN + "data: {root: '${NOT_SET_ANYWHERE}'}\ndescription: Mine.\n")
    write(folder / "tune_specs" / "broken.yaml", "fit: [\n")
    by_name = {info.name: info for info in list_specs()}
    assert by_name["mine"].description == "Mine."
    assert by_name["mine"].grid_size == 0
    assert len(by_name["broken"].faults) == 1


def test_inherit_from_an_unknown_stage(folder: Path) -> None:
    path = write(folder / "mine.yaml", CNN + "inherit: {from: step3, keys: [fit.lr, fit.wd]}\n")
    assert any("did you mean fit.weight_decay?" in text for text in faults(path))
    path = write(folder / "mine.yaml", CNN + "inherit: {from: step11, keys: [fit.lr]}\n")
    found = faults(path)
    assert "inherit.from" in found[0]
    assert "did you mean step1?" in found[0]
    path = write(folder / "mine.yaml", CNN + "inherit: {from: ./step1.yaml, keys: [fit.lr]}\n")
    assert "must be the name of a stage" in faults(path)[0]


def test_inherit_from_a_stage_beside_the_file(folder: Path) -> None:
    (folder / "own").mkdir()
    write(folder / "own" / "first.yaml", CNN)
    path = write(folder / "own" / "second.yaml", CNN + "inherit: {from: first, keys: [fit.lr]}\n")
    assert load_spec(path).pending_inherit() == ["fit.lr"]
    assert load_spec(path, sets=["fit.lr=0.1"]).inherit is None


def test_importing_pulls_in_nothing_heavy() -> None:
    code = (
        "import sys, spectral_search.spec.load\n"
        "print([m for m in ('torch', 'ray', 'optuna', 'pandas', 'numpy', 'h5py') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


RUNG = CNN + "fit: {epochs: 100}\nsearch: {min_epochs: 15}\n"


@pytest.mark.parametrize(
    ("sets", "overrides", "first"),
    [
        ([], {}, 15),
        ([], {"fit.epochs": 20}, 3),
        (["fit.epochs=20"], {}, 3),
        ([], {"fit.epochs": 21}, 4),  # rounded up
        ([], {"fit.epochs": 1}, 1),
        ([], {"fit.epochs": 200}, 15),  # more epochs are no reason to judge later
        (["search.min_epochs=12"], {"fit.epochs": 20}, 12),  # given is given
        (["search={min_epochs: 12}"], {"fit.epochs": 20}, 12),
        (["search.min_epochs=null"], {"fit.epochs": 20}, None),
    ],
)
def test_the_first_rung_is_shortened_with_the_epochs(
    folder: Path, sets: list[str], overrides: dict[str, Any], first: int | None
) -> None:
    path = write(folder / "rung.yaml", RUNG)
    assert load_spec(path, sets=sets, overrides=overrides).search.min_epochs == first


def test_a_quick_run_shortens_the_first_rung_too(folder: Path) -> None:
    path = write(folder / "rung.yaml", RUNG)
    small = load_spec(path, quick=True)
    assert small.search.min_epochs == -(-15 * small.fit.epochs // 100)
    assert load_spec(path, quick=True, overrides={"fit.epochs": 40}).search.min_epochs == 6
    assert load_spec(path, quick=True, sets=["search.min_epochs=7"]).search.min_epochs == 7
    assert load_spec(write(folder / "plain.yaml", CNN), quick=True).search.min_epochs is None


def test_an_override_that_is_no_number_is_refused_as_before(folder: Path) -> None:
    assert len(faults(write(folder / "rung.yaml", RUNG), sets=["fit.epochs=few"])) == 1
