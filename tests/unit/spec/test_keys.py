"""Keys, their words, and the nearest spelling of wrong ones."""

import pytest

from spectral_search.spec.families import families
from spectral_search.spec.keys import all_leaves, allowed, kinds_with, nearest_key, trial_leaves


def test_every_key_can_be_described_without_jargon() -> None:
    for key, info in all_leaves().items():
        words = allowed(info)
        assert words, key
        assert not any(part in words for part in ("Annotated", "typing", "<", "FieldInfo", "a mapping")), (key, words)


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("fit.lr", "a number above 0 and at most 10"),
        ("fit.patience", "a whole number of at least 1 and at most 1000000000 or null"),
        ("model.dropout", "a number of at least 0 and below 1"),
        ("data.root", "text or a list of values, each text or null"),
        ("resources.gpus", "a list of values, each a whole number of at least 0 and at most 65535 or auto"),
        ("search.pruner", "one of asha, halving, none, promote"),
    ],
)
def test_words(key: str, words: str) -> None:
    assert allowed(all_leaves()[key]) == words


def test_kinds() -> None:
    assert list(families()) == [
        *("cnn", "mlp", "moe_cnn", "res_cnn", "shared_mlp", "siamese_cnn", "siamese_efficient"),
        *("space_time_attention", "vit"),
    ]
    assert kinds_with("model.kernel_size") == ["cnn", "moe_cnn", "res_cnn", "siamese_efficient"]
    assert kinds_with("fit.lr") == list(families())
    assert kinds_with("model.nothing") == []
    assert "inherit.from" in all_leaves()


def test_nearest_key() -> None:
    leaves = trial_leaves("cnn")
    assert nearest_key("model.kernel", leaves) == "model.kernel_size"
    assert nearest_key("model.wd", leaves) == "fit.weight_decay"
    assert nearest_key("batch_size", leaves) == "fit.batch_size"
    assert nearest_key("model.qqqq", leaves) is None
