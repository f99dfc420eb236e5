"""Whether a model's calls can be captured as CUDA graphs and replayed with padding, tried on real calls."""

from __future__ import annotations

from collections.abc import Sequence

from ...backends.arrays import to_numpy
from ...backends.cuda_graphs import CudaGraphs, capturer_for
from ...backends.own import OwnModel, OwnModule
from ...backends.torch import TorchBackend
from ...errors import ReleaseError
from ...releases.release_record import TensorSpec
from ...serving_config import Execution
from .closeness import same_outputs
from .state import CapturedCall

_CALLS = 3
_DIFFERENT = "a replayed call, which is padded, gives other outputs than the model"


def why_not_replayed(
    own: OwnModel,
    calls: Sequence[CapturedCall],
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
    mask_input: str | None,
) -> str | None:
    """Return why the model cannot be run by CUDA graphs, in words; None if it can.

    The calls are run by the model and replayed twice, in turns, so that one that keeps what an earlier one left shows.
    """
    if not isinstance(own, OwnModule) or own.parameter is None:
        return "the runner wraps no torch module with weights"
    backend = TorchBackend(own.model, Execution("torch", "fp32", _own_threads()), outputs=outputs)
    try:
        capturer = capturer_for(own.parameter.device)
        graphs = CudaGraphs(
            backend, capturer, mask_input, inputs=inputs, outputs=outputs, weights=backend.weights, is_strict=True
        )
        tried = list(calls[:_CALLS])
        for call in [*tried, *tried]:
            given = {spec.name: call.inputs[spec.name] for spec in inputs}
            expected = [to_numpy(value) for value in backend.run(given)]
            found = [to_numpy(value) for value in graphs.run(given)]
            if not same_outputs(expected, found):
                return _DIFFERENT
    except ReleaseError as error:
        return str(error).rstrip(".")
    return None


def _own_threads() -> int:
    import torch

    return torch.get_num_threads()
