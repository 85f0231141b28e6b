"""What jobs leave each other of a cluster: each running one writes down what it uses, and what is left is the rest."""

from collections.abc import Iterable, Mapping

from spectral_search.run.cluster_slots import KINDS

Claim = Mapping[str, Mapping[str, float]]
"""Node -> CPU, GPU and memory that a search uses of it."""


def left_over(
    nodes: Mapping[str, Mapping[str, float]], claims: Iterable[Claim], unused: Mapping[str, float]
) -> dict[str, dict[str, float]]:
    """What is left of each node.

    On which nodes the trials of a search lie is Ray's choice, so that only the sum of a claim is sure. What is used by
    those who write no claims is known as a sum too, and is taken from the emptiest nodes.

    Args:
        nodes: What each has.
        claims: What the running jobs use.
        unused: What nobody uses at this moment, of all nodes together.
    """
    left = {name: {kind: node.get(kind, 0.0) for kind in KINDS} for name, node in nodes.items()}
    for claim in claims:
        for name, used in claim.items():
            for kind in KINDS if name in left else ():
                left[name][kind] = max(0.0, left[name][kind] - used.get(kind, 0.0))
    for kind in KINDS:
        foreign = sum(node[kind] for node in left.values()) - unused.get(kind, 0.0)
        for node in sorted(left.values(), key=lambda node: -node[kind]):
            taken = min(node[kind], max(0.0, foreign))
            node[kind], foreign = node[kind] - taken, foreign - taken
    return left
