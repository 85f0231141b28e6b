"""Every stage file: valid, its published grid exact, its recipe as published."""

import pytest

from spectral_search.spec.load import list_specs, load_spec, packaged_specs_dir

GRID_SIZES = {
    "step1": 10,
    "step2": 12,
    "mlp_residual": 8,
    "mlp_deep": 8,
    "mlp_wide": 3,
    "mlp_topk": 3,
    "mlp_big": 6,
    "cnn_stage1a": 6,
    "cnn_stage1b": 5,
    "cnn_stage2": 32,
    "mvp_mlp1": 2,
    "mvp_cnn1": 2,
    "mvp_cnn2": 2,
    "mvp_moe_cnn0": 2,
    "vit_patch16": 1,
    "signal_mlp": 4,
    "signal_cnn": 4,
    "vit_sweep": 1,
    "pairs_stage1": 20,
    "pairs_stage2": 56,
    "pairs_stage3": 12,
    "pairs_drawings": 1,
    "traffic_mlp": 5,
    "traffic_stage1": 10,
    "traffic_stage2": 160,
    "traffic_stage3": 8,
}
BY_SIGNAL = ["step1", "step2", "mlp_residual", "mlp_deep", "mlp_wide", "mlp_big", "mvp_mlp1"]
DENOISED = ["cnn_stage1a", "cnn_stage1b", "cnn_stage2", "mvp_cnn1", "mvp_cnn2", "mvp_moe_cnn0"]
ON_32K = [*list(GRID_SIZES)[:6], "cnn_stage1a", "cnn_stage1b", "cnn_stage2"]


def test_the_stages_are_exactly_these() -> None:
    assert {path.stem for path in packaged_specs_dir().glob("*.yaml")} == set(GRID_SIZES)
    assert not [info.faults for info in list_specs() if info.faults]


@pytest.mark.parametrize("stage", GRID_SIZES)
def test_grid_is_the_published_one_and_every_point_is_possible(stage: str) -> None:
    spec = load_spec(stage)
    assert spec.stage == stage
    assert spec.description
    assert len(spec.grid_points()) == GRID_SIZES[stage]
    assert len({spec.with_params(point).model_dump_json() for point in spec.grid_points()}) == GRID_SIZES[stage]
    assert spec.space
    assert spec.task != "spectra" or spec.data.noise_level == 1.0


@pytest.mark.parametrize("stage", ON_32K)
def test_published_recipe(stage: str) -> None:
    spec = load_spec(stage)
    fit = spec.fit
    assert (fit.epochs, fit.batch_size, fit.patience, fit.grad_clip, fit.seed) == (100, 2048, 50, 1.0, 42)
    assert spec.data.num_train == 32000


@pytest.mark.parametrize("stage", [*BY_SIGNAL, *DENOISED])
def test_a_staged_search_sees_the_signal_and_its_grid_what_was_published(stage: str) -> None:
    spec = load_spec(stage)
    given = spec.data.input
    assert (given.kind, given.otherwise) == ("denoised" if stage in DENOISED else "signal", "standardize")
    assert {spec.with_params(point).data.input.kind for point in spec.grid_points()} == {"standardize"}
    asked = load_spec(stage, overrides={"data.input.kind": "whiten", "search.sampler": "grid"})
    assert asked.data.input.otherwise is None
    assert {asked.with_params(point).data.input.kind for point in asked.grid_points()} == {"whiten"}
    assert len(asked.grid_points()) == GRID_SIZES[stage]


def test_the_question_of_the_best_pixels_is_asked_of_pixels() -> None:
    spec = load_spec("mlp_topk")
    assert (spec.data.input.kind, spec.data.input.otherwise) == ("standardize", None)


INPUT = {"data.input.kind": ["standardize"]}
PUBLISHED_GRIDS = {
    "step2": {
        "model.hidden": [[128, 32], [256, 64]],
        "model.activation": ["relu", "gelu", "silu"],
        "model.init": ["xavier", "kaiming"],
        **INPUT,
    },
    "mlp_residual": {
        "model.hidden": [[256, 64], [512, 256]],
        "model.dropout": [0.3, 0.4],
        "fit.weight_decay": [0, 1e-4],
        **INPUT,
    },
    "mlp_deep": {
        "model.hidden": [[512, 256, 128], [1024, 512, 256], [256, 256, 128, 64], [512, 256, 128, 64]],
        "model.activation": ["relu", "gelu"],
        **INPUT,
    },
    "mlp_wide": {"model.hidden": [[1024], [1024, 256], [2048, 512]], **INPUT},
    "mlp_topk": {"data.input.top_pixels": [256, 512, 1024]},
    "cnn_stage1a": {
        "fit.lr": [1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 0.1],
        "model.average_to": [1],
        "model.norm": ["none"],
        **INPUT,
    },
    "cnn_stage1b": {
        "fit.weight_decay": [0, 1e-5, 1e-4, 5e-4, 1e-3],
        "model.average_to": [1],
        "model.norm": ["none"],
        **INPUT,
    },
    "cnn_stage2": {
        "model.channels": [[32], [32, 64], [64, 128], [32, 64, 128]],
        "model.kernel_size": [7, 9, 15, 21],
        "model.norm": ["batch", "none"],
        "model.average_to": [1],
        **INPUT,
    },
}


@pytest.mark.parametrize("stage", PUBLISHED_GRIDS)
def test_grid_values_are_the_published_ones(stage: str) -> None:
    assert load_spec(stage).grid == PUBLISHED_GRIDS[stage]


def test_a_searched_key_may_be_inherited_and_stays_searched() -> None:
    spec = load_spec("cnn_stage2").inheriting({"fit.lr": 2e-3, "fit.weight_decay": 1e-3, "fit.schedule": "cosine"})
    assert spec.inherit is None
    assert spec.fit.lr == 2e-3
    assert "fit.lr" in spec.space
    assert {spec.with_params(point).fit.lr for point in spec.grid_points()} == {2e-3}


def test_step1_grid_is_learning_rate_by_weight_decay() -> None:
    points = load_spec("step1").grid_points()
    expected = [(lr, wd) for lr in (0.1, 0.01, 1e-3, 5e-4, 3e-4) for wd in (0, 1e-4)]
    assert [(point["fit.lr"], point["fit.weight_decay"]) for point in points] == expected
    model = load_spec("step1").model
    assert (model.kind, model.hidden, model.activation, model.dropout) == ("mlp", [256, 64], "relu", 0.3)


def test_mlp_big_has_five_plain_networks_and_one_residual() -> None:
    spec = load_spec("mlp_big")
    models = [spec.with_params(point).model for point in spec.grid_points()]
    assert [model.hidden for model in models if model.residual] == [[2048, 1024, 512]]
    assert (spec.fit.epochs, spec.fit.lr, spec.fit.weight_decay, spec.data.num_train) == (150, 3e-4, 1e-4, 100000)


def test_published_cnn_grids_have_no_normalisation_and_the_space_has() -> None:
    for stage in ("cnn_stage1a", "cnn_stage1b"):
        spec = load_spec(stage)
        assert {spec.with_params(point).model.norm for point in spec.grid_points()} == {"none"}
        assert spec.model.norm == "batch"
        assert (spec.model.channels, spec.model.kernel_size) == ([32, 64], 7)
    assert "none" not in (load_spec("cnn_stage2").space["model.norm"].choices or [])


def test_stages_build_on_each_other() -> None:
    inherited = {info.name: load_spec(info.name).inherit for info in list_specs()}
    chain = {name: (inherit.from_, inherit.keys) for name, inherit in inherited.items() if inherit is not None}
    assert chain["step2"] == ("step1", ["fit.lr", "fit.weight_decay", "fit.schedule"])
    assert chain["cnn_stage1b"] == ("cnn_stage1a", ["fit.lr", "fit.schedule"])
    assert chain["cnn_stage2"] == ("cnn_stage1b", ["fit.lr", "fit.weight_decay", "fit.schedule"])


def test_mvp_networks_are_the_published_ones() -> None:
    mlp, cnn = load_spec("mvp_mlp1").model, load_spec("mvp_cnn1").model
    assert (mlp.hidden, mlp.norm, mlp.norm_layers, mlp.activation) == ([2048, 1024, 512], "layer", "first", "gelu")
    assert (cnn.stem_channels, cnn.stem_kernel_size, cnn.blocks, cnn.channels) == (32, 7, 4, 64)
    assert (cnn.kernel_size, cnn.dilations, cnn.head) == (5, [2], [128])
    points = load_spec("mvp_cnn2").grid_points()
    assert points == [
        {"model.dilations": [1, 2, 4, 8], "data.input.kind": "standardize"},
        {"model.dilations": [2], "model.parallel_kernels": [3, 7, 15], "data.input.kind": "standardize"},
    ]


def test_vit_sweep_is_the_public_one() -> None:
    spec = load_spec("vit_sweep")
    assert {key: domain.choices for key, domain in spec.space.items() if domain.choices} == {
        "model.patch": [8, 16, 32, 64],
        "model.stride": [8, 16],
        "model.tokeniser": ["conv", "sliding_window"],
        "model.width": [128, 256, 384],
        "model.layers": [4, 6, 8],
        "model.heads": [4, 8],
    }
    assert (spec.fit.batch_size, spec.fit.weight_decay, spec.fit.lr_floor, spec.fit.schedule) == (
        256,
        0.01,
        1e-5,
        "cosine",
    )
    assert spec.data.input.kind == "denoised"
    best = spec.with_params(spec.grid_points()[0])
    assert (best.model.patch, best.model.stride, best.model.width, best.model.layers) == (16, None, 256, 6)
    assert best.data.input.kind == "standardize"


def test_a_patch_of_the_sweep_never_gets_a_stride_that_skips_pixels() -> None:
    spec = load_spec("vit_sweep")
    assert not spec.is_active("model.stride", {"model.patch": 8})
    assert spec.with_params({"model.patch": 8}).model.stride == 8


def test_traffic_is_tuned_in_the_published_order() -> None:
    first, second, third = (load_spec(f"traffic_stage{number}") for number in (1, 2, 3))
    assert (first.fit.epochs, first.fit.schedule, second.fit.epochs) == (10, "one_cycle", 150)
    assert {point["model.fusion"] for point in first.grid_points()} == {
        *("gated", "concat", "cross_attn", "gated_residual", "adaptive")
    }
    depths = [f"model.{over}_depth_{stage}" for stage in (1, 2) for over in ("temporal", "spatial")]
    models = [first.with_params(point).model.model_dump() for point in first.grid_points()]
    assert {tuple(model[key.removeprefix("model.")] for key in depths) for model in models} == {
        (2, 2, 2, 2),
        (1, 1, 3, 3),
    }
    assert second.grid["fit.lr"] == [1e-4, 3e-4, 5e-4, 1e-3, 2e-3]  # type: ignore[index]
    assert second.grid["model.embed_dim"] == [48, 64, 96, 128]  # type: ignore[index]
    techniques = {item["kind"] for point in second.grid_points() for item in point["fit.augment"]}
    assert techniques == {"noise", "mask", "shift", "mixup", "cutmix"}
    assert {point["fit.accumulate"] for point in second.grid_points()} == {2}
    students = [point for point in third.grid_points() if point.get("fit.distill.weight")]
    assert len(students) == 3 and len(third.grid_points()) - len(students) == 5
    assert third.inherit and second.inherit and "fit.distill.model" in third.inherit.keys
    taken, tuned = set(third.inherit.keys), {*second.space, *second.inherit.keys}
    assert tuned <= taken
    assert [spec.inherit.from_ for spec in (second, third) if spec.inherit] == ["traffic_stage1", "traffic_stage2"]
    rates = [first.fit.lr * group.lr_factor for group in first.fit.groups]
    assert rates == pytest.approx([3e-4, 5e-4]) and first.fit.lr == 1e-3
    gates = [spec.gate for spec in (first, second) if spec.gate is not None]
    assert [(gate.go_on, gate.start_over, gate.next) for gate in gates] == [
        (4.0, 4.5, "traffic_stage2"),
        (4.0, 4.5, "traffic_stage3"),
    ]


def test_the_stages_of_pairs_are_the_published_recipe() -> None:
    first, second, third = (load_spec(f"pairs_stage{number}") for number in (1, 2, 3))
    for spec in (first, second, third):
        fit, model = spec.fit, spec.base.model.model_dump()
        assert (fit.lr, fit.weight_decay, fit.batch_size, fit.epochs, fit.patience) == (1e-3, 5e-4, 64, 100, 5)
        assert (fit.schedule, fit.step_factor, fit.plateau_patience, fit.plateau_metric) == ("plateau", 0.5, 3, None)
        assert (fit.loss, fit.focal_alpha, fit.focal_gamma, fit.precision) == ("bce", 1.0, 2.0, "auto")
        (affine,) = fit.augment
        assert affine.model_dump() == {"kind": "affine", "rotation": 10, "shift": 0.1, "crop": 0.9, "images": 2}
        assert (model["kind"], model["layers"], model["feat_dim"]) == ("siamese_cnn", [2, 2, 2], 256)
        assert spec.data.images_a_class is None, "pairs by themselves, as they come in files of pairs"
    assert [first.space[key].to_yaml() for key in ("fit.lr", "fit.weight_decay")] == [
        {"log_uniform": [1e-4, 1e-2]},
        {"log_uniform": [1e-5, 1e-3]},
    ]
    assert first.search.trials == 100
    ways = ["concat", "difference", "product", "both", "learned", "gated", "symmetric"]
    assert second.space["model.fusion"].to_yaml() == {"choice": ways}
    assert {point["model.fusion"] for point in second.grid_points()} == set(ways)
    assert {point["model.width_mult"] for point in second.grid_points()} == {1.0, 1.12}
    assert second.space["model.layers"].to_yaml() == {"choice": [[2, 2, 2], [3, 3, 3]]}
    assert second.space["model.width_mult"].to_yaml() == {"uniform": [1.0, 1.12]}
    assert third.space["fit.loss"].to_yaml() == {"choice": ["bce", "focal"]}
    assert [
        spec.gate and (spec.gate.go_on, spec.gate.start_over, spec.gate.next) for spec in (first, second, third)
    ] == [
        (0.89, 0.57, "pairs_stage2"),
        (0.89, 0.57, "pairs_stage3"),
        None,
    ]
