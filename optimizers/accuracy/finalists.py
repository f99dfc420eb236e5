"""Which finalist is accepted: the first that is proved; the finalists share one error probability."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from bento_monitor.lab.statistics.noninferiority import check_alpha

from ..errors import StudyInputError

Candidate = TypeVar("Candidate")


def first_proved(
    finalists: Sequence[Candidate], is_proved: Callable[[Candidate, float], bool], *, alpha: float = 0.05
) -> Candidate | None:
    """Test the finalists in order until one is proved; return None if none is.

    The list of finalists, best first, must be fixed before any of the proof's data are seen. Each finalist is tested at
    `alpha` divided by their number, whether or not the later ones are reached, so that a wrong one is accepted in at
    most `alpha` of studies (Bonferroni). `is_proved(finalist, alpha)` bounds a finalist's drop on the proof's data.

    Raises:
        StudyInputError: there is no finalist.
    """
    check_alpha(alpha)
    if not finalists:
        raise StudyInputError("There are 0 finalists: give at least 1 finalist.")
    each = alpha / len(finalists)
    return next((finalist for finalist in finalists if is_proved(finalist, each)), None)
