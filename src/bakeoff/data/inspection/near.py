"""Which questions are nearly the same, inside a split and across two."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from bakeoff.data.inspection.minhash import SIMILARITY, Clusters, Similarity, candidate_pairs

if TYPE_CHECKING:
    import numpy as np

MAX_COMPARISONS = 1_000_000


class Pair(NamedTuple):
    """Two texts by their numbers, and their Jaccard similarity."""

    one: int
    other: int
    similarity: float


@dataclass
class NearDuplicates:
    """What was found among texts numbered from 0."""

    clusters: Clusters
    """Texts that hang together by near-duplicates, whatever their groups."""

    clusters_inside: Clusters
    """The same, by pairs of one group only."""

    inside: list[Pair] = field(default_factory=list)
    """Pairs of one group, as many as are needed to tell which texts hang together: one for each
    text that has a likeness already."""

    across: dict[int, Pair] = field(default_factory=dict)
    """For a text its likeness in a group of lower number: the first that was found."""

    is_complete: bool = True
    """False: there were more candidates than are compared."""


def find_near_duplicates(
    keys: "np.ndarray", groups: "np.ndarray", text: Callable[[int], str]
) -> NearDuplicates:
    """Compare the texts that share a band.

    Args:
        keys: Band keys, [number of texts, bands].
        groups: Group (split) of each text, [number of texts].
        text: The text of a number.
    """
    found = NearDuplicates(Clusters(len(keys)), Clusters(len(keys)))
    similarity = Similarity(text)
    compared: set[int] = set()
    for one, other in candidate_pairs(keys):
        if _is_known(found, groups, one, other) or one * len(keys) + other in compared:
            continue
        if len(compared) == MAX_COMPARISONS:
            found.is_complete = False
            break
        compared.add(one * len(keys) + other)
        value = similarity(one, other)
        if value >= SIMILARITY:
            _keep(found, groups, Pair(one, other, value))
    return found


def _is_known(found: NearDuplicates, groups: "np.ndarray", one: int, other: int) -> bool:
    """Whether the pair would tell nothing new."""
    if groups[one] == groups[other]:
        return found.clusters_inside.of(one) == found.clusters_inside.of(other)
    return (one if groups[one] > groups[other] else other) in found.across


def _keep(found: NearDuplicates, groups: "np.ndarray", pair: Pair) -> None:
    found.clusters.join(pair.one, pair.other)
    if groups[pair.one] == groups[pair.other]:
        found.clusters_inside.join(pair.one, pair.other)
        found.inside.append(pair)
        return
    higher, lower = pair.one, pair.other
    if groups[higher] < groups[lower]:
        higher, lower = lower, higher
    found.across[higher] = Pair(higher, lower, pair.similarity)
