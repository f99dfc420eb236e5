"""The operation `model_inputs`: what an API's function gives its model for samples, for calibration."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...backends.arrays import to_numpy
from ...errors import ServiceError
from ...resilience.atomic_files import write_atomic
from .messages import RequestSource
from .recording import recording
from .state import HostState, Progress

_BATCH_SIZE = 8
_MAX_BYTES = 2**30


def model_inputs(
    state: HostState, api_name: str, source: RequestSource, rows: Sequence[int], path: Path, progress: Progress
) -> None:
    """Write the inputs of the model's calls for the samples `rows` to an .npz file, keyed by "CALL/INPUT".

    The samples are given in batches of eight as far as the API is batchable; a last, smaller batch is left out. Beyond
    1 GiB, further samples are left out.

    Raises:
        ServiceError: the API refuses a sample or fails, or does not call the model.
    """
    interface, runner = state.captured()
    api = state.api(api_name)
    bodies = state.bodies(source)
    size = min(_BATCH_SIZE, api.max_batch_size, len(rows)) if api.is_batchable else 1
    names = [spec.name for spec in interface.inputs]
    found: dict[str, Any] = {}
    taken, calls = 0, 0
    with recording(runner) as recorder:
        for start in range(0, len(rows) - size + 1, size):
            recorder.begin_request()
            state.answer(api, [bodies[row] for row in rows[start : start + size]], source.content_type)
            for call in recorder.calls:
                inputs = {f"{calls:06d}/{name}": to_numpy(call.inputs[name]) for name in names}
                taken += sum(value.nbytes for value in inputs.values())
                found |= inputs
                calls += 1
            recorder.calls.clear()
            progress((start + size) / len(rows))
            if taken > _MAX_BYTES:
                break
    if not found:
        raise ServiceError(f"The API {api_name} does not call the model {interface.runner} for these samples.")
    buffer = io.BytesIO()
    np.savez(buffer, **found)
    write_atomic(path, buffer.getvalue())
