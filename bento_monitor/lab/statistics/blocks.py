"""The order in which arms are measured."""

from __future__ import annotations

import random
from collections.abc import Sequence

from ...errors import MeasurementError


def interleave(arms: Sequence[str], blocks: int, seed: int) -> list[list[str]]:
    """Every arm once a block, in a random order of each block's own, so that no drift of the machine favours an arm.

    Raises:
        MeasurementError: there are no arms, one is named twice, or there are no blocks.
    """
    if not arms or len(set(arms)) != len(arms) or blocks < 1:
        raise MeasurementError(f"{blocks} blocks of the arms {list(arms)} cannot be measured: name each arm once.")
    generator = random.Random(seed)
    return [generator.sample(list(arms), len(arms)) for _ in range(blocks)]
