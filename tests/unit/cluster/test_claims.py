"""What is left of a cluster, by what jobs write down that they use and by what Ray says is unused."""

from spectral_search.cluster.claims import left_over

NODES = {"a": {"CPU": 4.0, "GPU": 1.0, "memory": 9e9}, "b": {"CPU": 4.0, "memory": 3e9}}


def test_claims_are_taken_from_their_nodes_even_while_nothing_runs_there() -> None:
    claims = [{"a": {"CPU": 3.0, "GPU": 1.0, "memory": 4e9}}, {"b": {"CPU": 1.0}}]  # one by a version without memory
    left = left_over(NODES, claims, {"CPU": 8.0, "GPU": 1.0, "memory": 12e9})
    assert left == {"a": {"CPU": 1.0, "GPU": 0.0, "memory": 5e9}, "b": {"CPU": 3.0, "GPU": 0.0, "memory": 3e9}}


def test_what_others_use_who_claim_nothing_is_not_left_either() -> None:
    left = left_over(NODES, [{"a": {"CPU": 3.0, "memory": 1e9}}], {"CPU": 2.0, "GPU": 1.0, "memory": 6e9})
    assert left == {"a": {"CPU": 1.0, "GPU": 1.0, "memory": 3e9}, "b": {"CPU": 1.0, "GPU": 0.0, "memory": 3e9}}


def test_a_claim_on_a_node_that_died_takes_nothing() -> None:
    assert left_over(NODES, [{"gone": {"CPU": 9.0}}], {"CPU": 8.0, "GPU": 1.0})["a"]["CPU"] == 4.0
