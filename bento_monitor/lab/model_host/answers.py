"""The operation `answers`: the API's answers to samples when the model runs in a given way."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .answer_values import collect_values, value_of, write_answers
from .messages import Contender, RequestSource
from .state import HostState, Progress


def answers(
    state: HostState,
    api_name: str,
    source: RequestSource,
    contender: Contender,
    *,
    rows: Sequence[int] | None,
    batch_size: int,
    seed: int,
    path: Path,
    progress: Progress,
) -> None:
    """Write the answers to the samples `rows`, in their order, to a file for `read_answers`; None means all samples.

    Batches of `batch_size` are drawn at random, so each sample shares its batch with random others; a `batch_size` of 1
    runs each sample alone. No batch is larger than the API allows.

    Raises:
        ServiceError: the API refuses a sample, fails, or does not give one answer for each.
        ReleaseError: the contender cannot be built.
    """
    import numpy as np

    api = state.api(api_name)
    bodies = state.bodies(source)
    wanted = np.arange(len(bodies)) if rows is None else np.asarray(rows, dtype=np.int64)
    size = min(batch_size, api.max_batch_size) if api.is_batchable else 1
    order = np.random.default_rng(seed).permutation(len(wanted))
    prepared = state.prepare(contender)
    _, runner = state.captured()
    found: list[Any] = [None] * len(wanted)
    with state.measured(runner):
        runner.activate(prepared)
        for start in range(0, len(order), size):
            places = order[start : start + size]
            given = state.answer(api, [bodies[wanted[place]] for place in places], source.content_type)
            for place, answer in zip(places, given, strict=True):
                found[place] = value_of(answer.body, answer.media_type)
            progress(min(1.0, (start + size) / len(order)))
    write_answers(path, wanted, collect_values(found))
