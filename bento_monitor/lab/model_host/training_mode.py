"""Detection of models with random outputs or in training mode: by calling them, not by a list of layers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from ...backends.arrays import inference_mode, is_torch_tensor, to_numpy
from ...backends.outputs import flatten_output
from ...backends.own import OwnModel, OwnModule, OwnOnnxFile
from ...errors import ServiceError
from ...releases.release_record import OutputForm, OutputNode
from ...runner import runners
from .closeness import same_outputs
from .flat_module import original_module
from .perturbed import like
from .state import CapturedCall

_REPEATS = 4
_REPEATED_CALLS = 2

_TRAINING = (
    "The model is in training mode, so its outputs are random or depend on the batch: call .eval() on it before it is "
    "served."
)
_RANDOM = (
    "The model gives different outputs for the same input each time, although no part of it is in training mode: give "
    "F.dropout training=self.training, and remove other randomness, and state kept between calls, from the model."
)
_RANDOM_FILE = "The ONNX file gives different outputs for the same input each time: export it in evaluation mode."


def require_reproducible(own: OwnModel, calls: Sequence[CapturedCall]) -> None:
    """Raise if a model's outputs are not reproducible; modes, buffers and the random state are left unchanged.

    Raises:
        ServiceError: training mode changes the outputs, the model is random, or its weights are not loaded.
    """
    if isinstance(own, OwnOnnxFile) and _is_random(own, calls):
        raise ServiceError(_RANDOM_FILE)
    if isinstance(own, OwnModule):
        module = original_module(own.model)
        require_weights(module)
        with _unchanged(module):
            _require_eval(own, module, calls)
            if _is_random(own, calls):
                raise ServiceError(_RANDOM)
        _require_one_form(own, calls)


def require_eval_mode() -> None:
    """Raise ServiceError if a model of this process is in training mode; for calls that fail or change the model."""
    for runner in runners().values():
        own = runner.own_model
        if isinstance(own, OwnModule) and any(getattr(part, "training", False) for part in own.model.modules()):
            raise ServiceError(_TRAINING)


def _require_eval(own: OwnModel, module: Any, calls: Sequence[CapturedCall]) -> None:
    """Raise if some part is in training mode and this changes the outputs or draws random numbers."""
    parts = [part for part in module.modules() if getattr(part, "training", False)]
    if not parts:
        return
    for call in calls[:_REPEATED_CALLS]:
        for _ in range(_REPEATS):
            trained, drew = _drawing(own, call.inputs)
            _set_modes(parts, training=False)
            try:
                evaluated, still_draws = _drawing(own, call.inputs)
            finally:
                _set_modes(parts, training=True)
            if (drew and not still_draws) or not same_outputs(evaluated, trained):
                raise ServiceError(_TRAINING)


def _is_random(own: OwnModel, calls: Sequence[CapturedCall]) -> bool:
    for call in calls[:_REPEATED_CALLS]:
        first = _answer(own, call.inputs)[1]
        if any(not same_outputs(first, _answer(own, call.inputs)[1]) for _ in range(_REPEATS)):
            return True
    return False


def _drawing(own: OwnModel, inputs: Mapping[str, Any]) -> tuple[list[Any], bool]:
    """Return the outputs, and whether the call drew torch random numbers: a small dropout may not change outputs."""
    import torch

    before = torch.get_rng_state()
    outputs = _answer(own, inputs)[1]
    return outputs, not torch.equal(before, torch.get_rng_state())


def _answer(own: OwnModel, inputs: Mapping[str, Any]) -> tuple[OutputForm, list[Any]]:
    copies = {name: like(value, to_numpy(value).copy()) for name, value in inputs.items()}  # models may change them
    with inference_mode():
        form, _, arrays = flatten_output(own.run((), copies))
    return form, [to_numpy(array).copy() for array in arrays]


def _require_one_form(own: OwnModel, calls: Sequence[CapturedCall]) -> None:
    """Raise if the outputs differ between calls in anything other than tensors."""
    first, *others = [_answer(own, call.inputs)[0] for call in calls]
    for other in others:
        if other != first:
            raise ServiceError(
                f"The model's output differs between calls ({_difference(first, other)}): only "
                "tensors may differ. Return tensors from the model, and create the rest from them in the service."
            )


def _difference(first: OutputForm, other: OutputForm) -> str:
    """Return the first difference between two outputs other than in tensors, in words."""
    if first.root is None or other.root is None:
        return f"a {first.kind}, and a {other.kind}"
    left, right, path = first.root, other.root, ""
    while left.items and left.keys == right.keys and len(left.items) == len(right.items):
        names = left.keys or range(len(left.items))
        pairs = zip(names, left.items, right.items, strict=True)
        name, left, right = next(pair for pair in pairs if pair[1] != pair[2])
        path = f"{path}[{name!r}]"
    return f"{path or 'it'} is {_word_for(left)}, and {_word_for(right)}"


def _word_for(node: OutputNode) -> str:
    return repr(node.value) if node.kind == "constant" else f"a {node.kind} of {len(node.items)}"


def require_weights(module: Any) -> None:
    """Raise ServiceError if weights of a torch module were never loaded."""
    names = [name for name, tensor in _tensors(module) if tensor.is_meta]
    if names:
        raise ServiceError(
            f"The model has no weights: {names[0]} and {len(names) - 1} more are on the device meta. Load the weights "
            "before it is served (load_state_dict(..., assign=True))."
        )


def _tensors(module: Any) -> list[tuple[str, Any]]:
    found = (*module.named_parameters(), *module.named_buffers())
    return [(name, tensor) for name, tensor in found if is_torch_tensor(tensor)]


def _set_modes(parts: Sequence[Any], *, training: bool) -> None:
    for part in parts:
        part.training = training


@contextmanager
def _unchanged(module: Any) -> Iterator[None]:
    """Restore buffers and the random state after the block: batch norms in training mode update their buffers."""
    import torch

    buffers = [(buffer, buffer.clone()) for buffer in module.buffers()]
    generator = torch.get_rng_state()
    try:
        yield
    finally:
        torch.set_rng_state(generator)
        with torch.no_grad():
            for buffer, before in buffers:
                buffer.copy_(before)
