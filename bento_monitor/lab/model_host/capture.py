"""The operation `capture`: the interface between an API and its model, learned from calls with real samples."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from ...backends.arrays import dtype_name, is_array, to_numpy
from ...backends.call_shape import shape_of, varying_axes
from ...backends.outputs import flatten_output
from ...backends.own import OwnModel, OwnOnnxFile
from ...backends.sub_batches import prefix_lengths, row_lengths
from ...errors import InputError, ReleaseError, ServiceError
from ...integrations.bentoml.services import ApiArguments, ServiceApi
from ...releases.release_record import OutputForm, TensorSpec
from ...runner import runners
from .batches import draw_batches, fresh
from .describe import device_type, has_2d_convolutions
from .estimator_calls import array_estimator, calls_as_arrays
from .export_record import FixedAxis
from .messages import ModelInterface, RequestSource
from .recording import RecordingModel, recording
from .repeatable import require_repeatable
from .replay import why_not_replayed
from .state import CapturedCall, HostState
from .training_mode import require_eval_mode, require_reproducible
from .variations import variations

_BATCH_SIZES = (1, 2, 3, 5, 8, 13, 32)
_ALONE_CALLS = 13
# A model for which the smaller batches took this long is not called with the larger ones.
_LARGE_BATCH, _MAX_SMALL_S = 9, 5.0
_KEPT_CALLS = 8
_VARIED_BATCHES = 2


def capture(
    state: HostState, api_name: str, source: RequestSource, seed: int, runner: str | None = None
) -> ModelInterface:
    """Call the API on batches of several sizes, and describe the inputs and outputs of its model.

    If the API calls several runners, `runner` is described, or the one with most of the time. Samples of other lengths
    and sizes show which axes vary, as far as the user's own function accepts them.

    Raises:
        InputError: the API does not call the runner.
        ServiceError: the API calls no runner, or gives it other inputs for the same request each time, or its model's
            outputs are not reproducible, or its inputs or outputs cannot be exported.
    """
    state.interface, state.frames = None, None  # may be those of another API
    api = state.api(api_name)
    before = _fingerprints()
    name, called, tried = _record(state, api, source, seed, runner)
    seen = called[name]
    own = state.runner(name).own_model
    if own.kind == "estimator":
        estimator = array_estimator(name, own, seen.calls)
        seen.calls, tried.calls = calls_as_arrays(estimator, seen.calls), calls_as_arrays(estimator, tried.calls)
        state.frames = estimator.frames
    _require_exportable(name, own, seen.calls)
    calls = [*seen.calls, *_of_one_kind(tried.calls, seen.calls[0])]
    fingerprint = _fingerprint(state, name, before)
    require_reproducible(own, seen.calls)
    inputs = specs_of([call.inputs for call in calls])
    of_samples = specs_of([call.inputs for call in seen.calls])
    if own.kind == "estimator":
        outputs, form = _method_specs(calls), OutputForm("methods", "numpy")
    else:
        outputs = specs_of([call.outputs for call in calls])
        form = _output_form(own.kind, seen.last_output)
    state.calls, state.sample_calls = _most_rows(calls), _most_rows(seen.calls)
    mask_input = _mask_input(calls, inputs, outputs) or _lengths_input(seen.calls, inputs, outputs)
    state.interface = ModelInterface(
        runner=name,
        kind=own.kind,
        inputs=inputs,
        outputs=outputs,
        output_form=form,
        mask_input=mask_input,
        fingerprint=fingerprint,
        probed_axes=_probed_axes(inputs, of_samples),
        largest_batch=_largest_batch(own, seen.calls) if api.is_batchable else None,
        device=device_type(own),
        has_2d_convolutions=has_2d_convolutions(own),
        without_graphs=why_not_replayed(own, state.sample_calls, inputs, outputs, mask_input),
        note=_choice(name, {each: recorder.seconds for each, recorder in called.items()}),
    )
    return state.interface


def _fingerprint(state: HostState, runner: str, before: Mapping[str, str | None]) -> str:
    """Return the fingerprint of the model as it was loaded.

    Raises:
        ServiceError: the model has none, or calls change its weights, so that a release would soon be of another model.
    """
    try:
        value = state.runner(runner).fingerprint.present_value()
    except ReleaseError as error:
        raise ServiceError(str(error)) from error
    if before.get(runner, value) != value:
        require_eval_mode()
        raise ServiceError(
            f"The weights or buffers of the model {runner} change when it is called, so a release would soon be of "
            "another model: load the weights in the service's constructor, and keep state that calls change out of the "
            "model."
        )
    return value


def _fingerprints() -> dict[str, str | None]:
    """Return the fingerprints of all models, to be read before the first call; None for a model without one."""
    found: dict[str, str | None] = {}
    for name, runner in runners().items():
        try:
            found[name] = runner.fingerprint.present_value()
        except ReleaseError:  # the API may not call this model
            found[name] = None
    return found


def _record(
    state: HostState, api: ServiceApi, source: RequestSource, seed: int, runner: str | None
) -> tuple[str, dict[str, RecordingModel], RecordingModel]:
    """Return the runner, the calls of all runners, and its calls for other sizes.

    The runner is by default the one with most of the API's time.
    """
    import numpy as np

    generator = np.random.default_rng(seed)
    sizes = _BATCH_SIZES if api.is_batchable else (1,) * _ALONE_CALLS
    drawn = list(draw_batches(state, api, source, sizes, generator))
    batches = [arguments for arguments, _ in drawn]
    with ExitStack() as stack:
        recorders = {name: stack.enter_context(recording(runner)) for name, runner in runners().items()}
        begun_s = time.monotonic()
        for batch, count in drawn:
            if count >= _LARGE_BATCH and time.monotonic() - begun_s > _MAX_SMALL_S:
                break
            for recorder in recorders.values():
                recorder.begin_request()
            _call_together(state, api, batch, count)
    called = {name: recorder for name, recorder in recorders.items() if recorder.calls}
    if not called:
        raise ServiceError(
            f"The API {api.name} calls no MonitoredRunner: wrap the model in the service, "
            "as in self.model = MonitoredRunner(model)."
        )
    if runner is not None and runner not in called:
        raise InputError(f"The API {api.name} calls no runner {runner!r} (it calls: {', '.join(sorted(called))}).")
    name = runner or max(called, key=lambda each: called[each].seconds)
    require_repeatable(state, api, name, batches[0])
    with recording(state.runner(name)) as tried:
        for batch in batches[:_VARIED_BATCHES]:
            for arguments in variations(batch, is_batchable=api.is_batchable):
                count = len(tried.calls)
                tried.begin_request()
                try:
                    state.call(api, arguments)
                except ServiceError:  # the user's function does not accept this size
                    del tried.calls[count:]
    return name, called, tried


def _choice(chosen: str, seconds: Mapping[str, float]) -> str:
    """Return a note on the chosen runner and the reason; empty if there is only one runner."""
    if len(seconds) == 1:
        return ""
    share = seconds[chosen] / sum(seconds.values())
    others = " and ".join(sorted(seconds.keys() - {chosen}))
    return f"the runner {chosen} is optimized: it takes {share:.0%} of the API's time in models; unchanged: {others}"


def _call_together(state: HostState, api: ServiceApi, batch: ApiArguments, count: int) -> None:
    try:
        state.call(api, fresh(batch))
    except ServiceError as error:
        if count == 1:
            raise
        raise ServiceError(
            f"{str(error).rstrip('.')}. It succeeds on one sample, and fails on {count} together: if these are valid, "
            "let the model accept any number of rows, limit the batch (max_batch_size), or make the API not batchable."
        ) from error


def _of_one_kind(calls: Sequence[CapturedCall], like: CapturedCall) -> list[CapturedCall]:
    """Return the calls with the same names, dtypes and numbers of axes as the call `like`."""
    return [
        call
        for call in calls
        if _kinds(call.inputs) == _kinds(like.inputs)
        and (call.outputs.keys() != like.outputs.keys() or _kinds(call.outputs) == _kinds(like.outputs))
    ]


def _kinds(arrays: Mapping[str, Any]) -> dict[str, tuple[str, int]]:
    return {name: (dtype_name(value), len(value.shape)) for name, value in arrays.items() if is_array(value)}


def _require_exportable(runner: str, own: OwnModel, calls: Sequence[CapturedCall]) -> None:
    names = calls[0].inputs.keys()
    for call in calls:
        has_other_outputs = own.kind != "estimator" and call.outputs.keys() != calls[0].outputs.keys()
        if call.inputs.keys() != names or has_other_outputs:
            raise ServiceError(f"The model {runner} does not have the same inputs and the same outputs in all calls.")
        for name, value in call.inputs.items():
            if not is_array(value):
                raise ServiceError(
                    f"The model {runner} gets a {type(value).__name__} as {name}: only tensors can be exported. "
                    "Set it in the model itself."
                )


def specs_of(calls: Sequence[Any]) -> tuple[TensorSpec, ...]:
    """Return the spec of each array of calls, given by name: an axis that had more than one length varies.

    Raises:
        ServiceError: an array does not always have the same number of axes.
    """
    largest = max(calls, key=lambda arrays: sum(value.size for value in map(to_numpy, arrays.values())))
    specs = []
    for name in calls[0]:
        shapes = [tuple(arrays[name].shape) for arrays in calls]
        if len({len(shape) for shape in shapes}) > 1:
            raise ServiceError(f"{name} does not always have the same number of axes: {sorted(set(shapes))[:4]}.")
        shape = tuple(lengths[0] if len(set(lengths)) == 1 else None for lengths in zip(*shapes, strict=True))
        specs.append(TensorSpec(name, dtype_name(largest[name]), shape, tuple(largest[name].shape)))
    return tuple(specs)


def _method_specs(calls: Sequence[CapturedCall]) -> tuple[TensorSpec, ...]:
    """Return the spec of each called method's output; class labels in text have the dtype "str"."""
    found: dict[str, list[Any]] = {}
    for call in calls:
        for method, answer in call.outputs.items():
            found.setdefault(method, []).append(answer)
    specs = []
    for method, answers in found.items():
        first = to_numpy(answers[0])
        dtype = "str" if first.dtype.kind in "OU" else dtype_name(first)
        specs.append(TensorSpec(method, dtype, (None, *first.shape[1:]), first.shape))
    return tuple(specs)


def _probed_axes(inputs: Sequence[TensorSpec], of_samples: Sequence[TensorSpec]) -> tuple[FixedAxis, ...]:
    """Return the axes that vary, but have one length in all samples."""
    return tuple(
        FixedAxis(spec.name, axis, length)
        for spec, in_samples in zip(inputs, of_samples, strict=True)
        for axis, length in enumerate(in_samples.shape)
        if length is not None and spec.shape[axis] is None
    )


def _largest_batch(own: OwnModel, calls: Sequence[CapturedCall]) -> int | None:
    """Return the fixed batch size of an ONNX file that was called with more rows, else None."""
    if not isinstance(own, OwnOnnxFile) or own.fixed_batch is None:
        return None
    given = (call.inputs[name].shape[axis] for call in calls for name, axis in own.batch_axes.items() if axis == 0)
    return own.fixed_batch if any(rows > own.fixed_batch for rows in given) else None


def _mask_input(
    calls: Sequence[CapturedCall], inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]
) -> str | None:
    if not _can_be_trimmed(inputs, outputs):
        return None
    masks = [spec.name for spec in inputs if _is_mask(spec, calls) and _gives_every_length(spec.name, calls, inputs)]
    return min(masks, key=lambda name: ("mask" not in name, name), default=None)


def _can_be_trimmed(inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> bool:
    """Whether rows are separate, and no output has the length of the inputs."""
    has_rows = all(spec.shape[:1] == (None,) for spec in (*inputs, *outputs))
    return has_rows and not any(None in spec.shape[1:] for spec in outputs)


def _lengths_input(
    calls: Sequence[CapturedCall], inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]
) -> str | None:
    """Return the input of whole numbers, one for each row, that are the lengths of rows padded to the longest.

    In every call, the largest was exactly the length of all varying axes; rows of a batch had different ones, and so
    had batches. Calls with resized samples count not: their numbers may be of the original size.
    """
    if not _can_be_trimmed(inputs, outputs):
        return None
    found = [spec.name for spec in inputs if spec.shape == (None,) and _are_lengths(spec.name, calls, inputs)]
    return min(found, key=lambda name: ("len" not in name, name), default=None)


def _are_lengths(name: str, calls: Sequence[CapturedCall], inputs: Sequence[TensorSpec]) -> bool:
    varying = varying_axes(inputs)
    longest, has_unequal = set(), False
    for call in calls:
        lengths = row_lengths(to_numpy(call.inputs[name]))
        shape = shape_of({spec.name: call.inputs[spec.name] for spec in inputs}, varying)
        if lengths is None or shape is None or shape.length != int(lengths.max()):
            return False
        longest.add(shape.length)
        has_unequal |= bool(lengths.min() < lengths.max())
    return has_unequal and len(longest) > 1


def _is_mask(spec: TensorSpec, calls: Sequence[CapturedCall]) -> bool:
    """Whether each row is ones then zeros in every call, starts with a one, and at least one zero occurs."""
    if spec.shape != (None, None):
        return False
    masks = [to_numpy(call.inputs[spec.name]) for call in calls]
    lengths = [prefix_lengths(mask) for mask in masks]
    return all(rows is not None and rows.min() > 0 for rows in lengths) and any((mask == 0).any() for mask in masks)


def _gives_every_length(mask: str, calls: Sequence[CapturedCall], inputs: Sequence[TensorSpec]) -> bool:
    """Whether every varying axis except the batch was as long as the mask in each call: the mask can trim it."""
    return all(
        call.inputs[name].shape[axis] == call.inputs[mask].shape[1]
        for call in calls
        for name, axes in varying_axes(inputs).items()
        for axis in axes
    )


def _output_form(kind: str, output: Any) -> OutputForm:
    form, _, _ = flatten_output(output)
    return OutputForm(form.kind, "inputs", form.type_name) if kind == "onnx" else form


def _most_rows(calls: Sequence[CapturedCall]) -> list[CapturedCall]:
    return sorted(calls, key=lambda call: -_rows(call))[:_KEPT_CALLS]


def _rows(call: CapturedCall) -> int:
    shape = next(iter(call.inputs.values())).shape
    return int(shape[0]) if len(shape) else 1
