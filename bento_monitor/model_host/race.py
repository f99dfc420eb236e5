"""The operation `race`: the speed of several ways to run a model, in short interleaved blocks."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from ..bentoml_hooks.services import ServiceApi
from ..errors import MeasurementError
from ..runner import MonitoredRunner, PreparedModel
from .capture import record_calls
from .records import Contender, RaceLevel, SampleSource
from .state import HostState, Progress

Call = Callable[[int], int]


def race(
    state: HostState,
    api_name: str,
    source: SampleSource,
    contenders: Sequence[Contender],
    *,
    level: RaceLevel,
    batch_size: int,
    batches: int,
    rounds: int,
    block_s: float,
    seed: int,
    progress: Progress,
) -> list[list[float]]:
    """Samples per second of each contender in each round; a round runs all of them, in random order, on like input.

    `level` "model" times calls of the model alone, "api" the API's whole function. Every contender of a round begins
    at the same batch, drawn anew for each round.

    Raises:
        MeasurementError: there is nothing to race.
        ReleaseError: a contender cannot be built.
    """
    import numpy as np

    if not contenders or rounds < 1:
        raise MeasurementError("A race needs at least one contender and one round.")
    generator = np.random.default_rng(seed)
    api = state.api(api_name)
    samples = state.samples(source)
    size = batch_size if api.is_batchable else 1
    chosen = [samples[generator.permutation(len(samples))[:size]] for _ in range(batches)]
    interface, runner = state.captured()
    prepared = [state.prepare(contender) for contender in contenders]
    if level == "model":
        inputs = [dict(call.inputs) for call in record_calls(state, api, chosen, interface.runner)]
        calls = [_model_call(model, inputs) for model in prepared]
    else:
        calls = [_api_call(state, runner, model, api, chosen) for model in prepared]
    speeds: list[list[float]] = [[] for _ in calls]
    with state.measured(runner):
        for call in calls:
            call(0)  # the first call of a shape allocates
        for round_index in range(rounds):
            first = int(generator.integers(batches))
            for index in generator.permutation(len(calls)):
                speeds[index].append(_rows_per_s(calls[index], first, block_s))
            progress((round_index + 1) / rounds)
    return speeds


def _rows_per_s(call: Call, first: int, block_s: float) -> float:
    index, rows = first, 0
    started = time.perf_counter()
    while (elapsed := time.perf_counter() - started) < block_s:
        rows += call(index)
        index += 1
    return rows / elapsed


def _model_call(prepared: PreparedModel, inputs: Sequence[dict[str, Any]]) -> Call:
    import torch

    rows = [int(next(iter(arrays.values())).shape[0]) for arrays in inputs]

    def call(index: int) -> int:
        with torch.inference_mode():
            prepared.model.run((), inputs[index % len(inputs)])
        return rows[index % len(inputs)]

    return call


def _api_call(
    state: HostState, runner: MonitoredRunner, prepared: PreparedModel, api: ServiceApi, batches: Sequence[Any]
) -> Call:
    def call(index: int) -> int:
        batch = batches[index % len(batches)]
        runner.take_over(prepared)
        state.call(api, batch)
        return len(batch)

    return call
