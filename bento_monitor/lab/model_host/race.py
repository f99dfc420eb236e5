"""The operation `race`: the speed of several ways to run a model, in short interleaved blocks."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from ...errors import MeasurementError
from ...integrations.bentoml.services import ApiArguments, ServiceApi
from ...runner import MonitoredRunner, PreparedModel
from .batches import draw_batches, fresh
from .messages import Contender, RequestSource
from .state import HostState, Progress

Call = Callable[[int], int]
_WARM_UP_BLOCKS = 2


def race(
    state: HostState,
    api_name: str,
    source: RequestSource,
    contenders: Sequence[Contender],
    *,
    batch_size: int,
    batches: int,
    rounds: int,
    block_s: float,
    seed: int,
    progress: Progress,
) -> list[list[float]]:
    """Return the samples per second of each contender in each round; a round runs all of them in random order.

    The whole function of the API is timed. All contenders of a round begin at the same batch, drawn at random for each
    round.

    Raises:
        MeasurementError: there are no contenders or no rounds.
        ReleaseError: a contender cannot be built.
    """
    import numpy as np

    if not contenders or rounds < 1:
        raise MeasurementError(
            "No way to run the model is left to compare: none could be built, so the service keeps its own model."
        )
    generator = np.random.default_rng(seed)
    api = state.api(api_name)
    chosen = list(draw_batches(state, api, source, [batch_size] * batches, generator))
    _, runner = state.captured()
    prepared = [state.prepare(contender) for contender in contenders]
    calls = [_api_call(state, runner, model, api, chosen) for model in prepared]
    speeds: list[list[float]] = [[] for _ in calls]
    with state.measured(runner):
        for call in calls:
            _warm_up(call, batches, _WARM_UP_BLOCKS * block_s)
        for round_index in range(rounds):
            first = int(generator.integers(batches))
            for index in generator.permutation(len(calls)):
                speeds[index].append(_rows_per_s(calls[index], first, block_s))
            progress((round_index + 1) / rounds)
    return speeds


def _warm_up(call: Call, batches: int, limit_s: float) -> None:
    """Call once with each batch, for as long as there is time: the first call of a shape allocates, or compiles."""
    deadline_s = time.perf_counter() + limit_s
    for index in range(batches):
        call(index)
        if time.perf_counter() >= deadline_s:
            return


def _rows_per_s(call: Call, first: int, block_s: float) -> float:
    index, rows = first, 0
    started = time.perf_counter()
    while (elapsed := time.perf_counter() - started) < block_s:
        rows += call(index)
        index += 1
    return rows / elapsed


def _api_call(
    state: HostState,
    runner: MonitoredRunner,
    prepared: PreparedModel,
    api: ServiceApi,
    batches: Sequence[tuple[ApiArguments, int]],
) -> Call:
    def call(index: int) -> int:
        arguments, count = batches[index % len(batches)]
        runner.activate(prepared)
        state.call(api, fresh(arguments))
        return count

    return call
