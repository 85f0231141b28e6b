"""The nearest spelling of a wrong word."""

from spectral_search.spec.spelling import nearest


def test_nearest() -> None:
    assert nearest("RELU", ["relu", "gelu"]) == "relu"
    assert nearest("zzz", ["relu", "gelu"]) is None
