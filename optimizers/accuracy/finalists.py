"""Which of the finalists is accepted: the first whose drop is proved to be within the tolerance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from bento_monitor.statistics.noninferiority import DropBound, check_alpha

from ..errors import StudyInputError

Candidate = TypeVar("Candidate")


@dataclass(frozen=True, slots=True)
class FinalistProof(Generic[Candidate]):
    """The bound of one finalist's drop, and whether it is within the tolerance."""

    finalist: Candidate
    bound: DropBound
    is_accepted: bool


def prove_finalists(
    finalists: Sequence[Candidate],
    bound_of: Callable[[Candidate, float], DropBound],
    *,
    tolerance: float,
    alpha: float = 0.05,
) -> tuple[FinalistProof[Candidate], ...]:
    """Test the finalists in order until one is accepted; the last proof says whether one was.

    The finalists are all that may be tried, best first, fixed before any of the proof's data are seen. Each is tested
    at `finalist_alpha`, whether or not the later ones are reached, so that a wrong one is accepted in at most `alpha`
    of studies (Bonferroni). `bound_of(finalist, alpha)` bounds a finalist's drop on the proof's data.

    Raises:
        StudyInputError: there is no finalist.
    """
    each = finalist_alpha(len(finalists), alpha=alpha)
    proofs: list[FinalistProof[Candidate]] = []
    for finalist in finalists:
        bound = bound_of(finalist, each)
        proofs.append(FinalistProof(finalist, bound, bound.upper <= tolerance))
        if proofs[-1].is_accepted:
            break
    return tuple(proofs)


def finalist_alpha(count: int, *, alpha: float = 0.05) -> float:
    """The share of wrong bounds that each of `count` finalists may have.

    Raises:
        StudyInputError: `count` is below 1.
    """
    check_alpha(alpha)
    if count < 1:
        raise StudyInputError(f"At least 1 finalist is needed, but there are {count}.")
    return alpha / count
