"""The order in which arms are measured."""

from __future__ import annotations

import random
from collections.abc import Sequence

from ...errors import MeasurementError


def interleave(arms: Sequence[str], blocks: int, seed: int) -> list[list[str]]:
    """Return every arm once per block, in a new random order for each block, so that machine drift favors no arm.

    Raises:
        MeasurementError: there are no arms, an arm is named twice, or there are no blocks.
    """
    if not arms or len(set(arms)) != len(arms) or blocks < 1:
        raise MeasurementError(f"{blocks} blocks of the arms {list(arms)} cannot be measured: name each arm once.")
    generator = random.Random(seed)
    return [generator.sample(list(arms), len(arms)) for _ in range(blocks)]
