"""The operation `answers`: what the API answers to every sample, when its model is run in a given way."""

from __future__ import annotations

import io
import time
from pathlib import Path
from typing import Any

from ..backends.arrays import to_numpy
from ..bentoml_hooks.services import ServiceApi
from ..errors import ServiceError
from ..files import write_atomic
from .records import AnswersReport, Contender, SampleSource
from .state import HostState, Progress


def answers(
    state: HostState,
    api_name: str,
    source: SampleSource,
    contender: Contender,
    batch_size: int,
    seed: int,
    path: Path,
    progress: Progress,
) -> AnswersReport:
    """Write the answers, float32 and in the order of the samples, to a `.npz` file.

    The samples are drawn into batches of `batch_size` at random, so that each is answered in random company; a
    `batch_size` of 1 answers each alone.

    Raises:
        ServiceError: the API fails, or does not give one numeric answer for each sample.
        ReleaseError: the contender cannot be built.
    """
    import numpy as np

    api = state.api(api_name)
    samples = state.samples(source)
    size = batch_size if api.is_batchable else 1
    order = np.random.default_rng(seed).permutation(len(samples))
    prepared = state.prepare(contender)
    _, runner = state.captured()
    found: list[Any] = []
    with state.measured(runner):
        runner.take_over(prepared)
        started = time.perf_counter()
        for start in range(0, len(order), size):
            rows = order[start : start + size]
            found.append(_as_rows(api, state.call(api, samples[rows]), len(rows)))
            progress(min(1.0, (start + size) / len(order)))
        seconds = time.perf_counter() - started
    result = np.empty((len(samples), *found[0].shape[1:]), dtype=np.float32)
    result[order] = np.concatenate(found)
    buffer = io.BytesIO()
    np.savez(buffer, answers=result)
    write_atomic(path, buffer.getvalue())
    return AnswersReport(seconds, result.shape)


def _as_rows(api: ServiceApi, output: Any, count: int) -> Any:
    """The API's output as float32 with a row for each sample."""
    import numpy as np

    try:
        array = to_numpy(output).astype(np.float32)
    except (TypeError, ValueError) as error:
        raise ServiceError(f"The API {api.name} answers with {type(output).__name__}, which is no number.") from error
    if not api.is_batchable:
        return array[None]
    if not array.ndim or len(array) != count:
        raise ServiceError(f"The API {api.name} gave an answer of the shape {array.shape} for {count} samples.")
    return array
