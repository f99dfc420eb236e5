"""A release as a runner calls it: its file is verified, and it is built and warmed up before it is used."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, assert_never

from ..errors import ReleaseError
from ..releases.release_record import Release, TensorSpec
from ._base import Backend, UnboundCallError
from .arguments import bind_arguments
from .arrays import device_of, inference_mode, to_torch
from .call_check import CallCheck
from .call_shape import CallShape, varying_axes
from .cuda_graphs import CudaGraphs, capturer_for
from .method_answers import MethodAnswers
from .onnxruntime import OnnxRuntimeBackend
from .openvino import OpenVinoBackend
from .outputs import flatten_output, has_classes, output_builder, output_classes
from .own import OwnModel, OwnModule
from .sub_batches import SubBatches
from .torch import TorchBackend

_WARM_UP_CALLS = 2
# Enough to fill allocators and caches; more would take CPU time from the requests that are served meanwhile.
_WARM_UP_ROWS = 4
# A release from a larger machine may be tried on a small one, but an edited record must not take all of its memory.
_MAX_THREADS_A_CORE = 4
_ALWAYS_ALLOWED_THREADS = 64


class ReleasedModel:
    """A release in place of the user's own model, with the same arguments and the same output structure."""

    def __init__(self, release: Release, folder: Path, own: OwnModel) -> None:
        """Build the backend of `release`, whose files are in `folder`.

        Raises:
            ReleaseError: a file is missing or differs from the released one, or the backend cannot be built.
        """
        self.backend: str = release.execution.backend
        self.precision: str = release.execution.precision
        self._own = own
        self._names = own.names
        self._device = None if own.parameter is None else own.parameter.device
        self._check = CallCheck(release.inputs, self._device)
        _require_sane_threads(release)
        self._graphs: CudaGraphs | None = None
        backend = _build_backend(release, folder, own)
        if release.execution.cuda_graphs:
            backend = self._graphs = _with_graphs(backend, release, own)
        self._backend = _in_parts(backend, release)
        self._methods = _method_answers(release, self._backend, own)
        classes = self._own_output_classes(release) if has_classes(release.output_form) else ()
        self._build_output = output_builder(release.output_form, [spec.name for spec in release.outputs], classes)

    def run(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], method: str | None = None) -> Any:
        """Execute the release.

        Raises:
            UnboundCallError: the release was not made for the method or the arguments.
        """
        if self._methods is None and method is not None:
            raise UnboundCallError(f"it takes calls of the model itself, not of {method}", "method")
        inputs = bind_arguments(self._names, args, kwargs)
        if self._methods is not None:
            inputs = self._methods.arrays(method, inputs)
            self._check(inputs)
            return self._methods.run(str(method), inputs)
        self._check(inputs)
        return self._build_output(self._backend.run(inputs), device_of(inputs.values()))

    def warm_up(self, release: Release) -> None:
        """Run the release on inputs of the shapes that were recorded when it was made.

        Raises:
            ReleaseError: the backend fails on these inputs.
        """
        inputs = self._warm_up_inputs(release)
        try:
            for _ in range(_WARM_UP_CALLS):
                if self._methods is None:
                    self.run((), inputs)
                else:
                    for method in self._methods.methods:
                        self._methods.run(method, inputs)
            if self._graphs is not None:
                self._graphs.prepare(_largest_shape(release))
        except Exception as error:
            raise ReleaseError(f"Release {release.name} fails when it is warmed up: {error!r}.") from error

    def _warm_up_inputs(self, release: Release) -> dict[str, Any]:
        inputs = _warm_up_arrays(release.inputs)
        if isinstance(self._own, OwnModule):
            return {name: to_torch(value, self._device) for name, value in inputs.items()}
        return inputs

    def _own_output_classes(self, release: Release) -> tuple[type, ...]:
        """Return the classes in the own model's output; the class names in the record are never imported."""
        try:
            with inference_mode():
                output = self._own.run((), self._warm_up_inputs(release))
                form, classes = flatten_output(output)[0], output_classes(output)
        except Exception as error:
            raise ReleaseError(
                f"Release {release.name}: the service's own model fails on inputs like those of the release: {error!r}."
            ) from error
        if release.output_form.root is not None and form.root != release.output_form.root:
            raise ReleaseError(
                f"Release {release.name}: the service's own model returns an output that is not built like the "
                f"release's. Make a new release with {release.renewal}"
            )
        return classes


def _require_sane_threads(release: Release) -> None:
    threads = release.execution.intra_op_threads * release.execution.streams
    most = max(_MAX_THREADS_A_CORE * (os.cpu_count() or 1), _ALWAYS_ALLOWED_THREADS)
    if threads > most:
        raise ReleaseError(
            f"Release {release.name} sets {threads} threads, but this machine has {os.cpu_count()} cores and allows "
            f"at most {most}. Make a release on this machine with {release.renewal}",
            "record",
        )


def _build_backend(release: Release, folder: Path, own: OwnModel) -> Backend:
    execution = release.execution
    match execution.backend:
        case "torch":
            if not isinstance(own, OwnModule):
                raise ReleaseError(f"Release {release.name} needs torch, but the runner wraps no torch module.")
            return TorchBackend(own.model, execution, outputs=release.outputs)
        case "onnxruntime":
            graph = _read_artifact(release, folder)
            return OnnxRuntimeBackend(graph, execution, inputs=release.inputs, outputs=release.outputs)
        case "openvino":
            graph = _read_artifact(release, folder)
            return OpenVinoBackend(graph, execution, inputs=release.inputs, outputs=release.outputs)
        case _:
            assert_never(execution.backend)


def _with_graphs(backend: Backend, release: Release, own: OwnModel) -> CudaGraphs:
    if not isinstance(backend, TorchBackend):
        raise ReleaseError(f"Release {release.name} has CUDA graphs, which only the torch backend has.", "record")
    device = None if own.parameter is None else own.parameter.device
    return CudaGraphs(
        backend,
        capturer_for(device),
        release.execution.mask_input,
        inputs=release.inputs,
        outputs=release.outputs,
        weights=backend.weights,
    )


def _largest_shape(release: Release) -> CallShape:
    """Return the largest shape that is expected: the batches of the release, of the longest rows that were seen."""
    rows = max((spec.example[0] for spec in release.inputs if spec.example), default=1)
    if release.batching is not None:
        rows = release.batching.max_batch_size
    if release.execution.sub_batch_size is not None:
        rows = min(rows, release.execution.sub_batch_size)
    varying = varying_axes(release.inputs)
    lengths = [spec.example[axis] for spec in release.inputs if spec.example for axis in varying[spec.name]]
    return CallShape(rows, max(lengths, default=None))


def _in_parts(backend: Backend, release: Release) -> Backend:
    execution = release.execution
    if execution.sub_batch_size is None:
        return backend
    return SubBatches(
        backend,
        execution.sub_batch_size,
        execution.mask_input,
        inputs=release.inputs,
        outputs=release.outputs,
        streams=execution.streams,
    )


def _method_answers(release: Release, backend: Backend, own: OwnModel) -> MethodAnswers | None:
    """Return the method answers of an estimator's release; None for a release of any other model."""
    if release.output_form.kind != "methods":
        if own.kind == "estimator":
            raise ReleaseError(f"Release {release.name} has no methods, but the runner wraps an estimator.")
        return None
    if not isinstance(backend, OnnxRuntimeBackend) or own.kind != "estimator":
        raise ReleaseError(f"Release {release.name} is for an estimator, but the runner wraps none.")
    return MethodAnswers(backend, release.outputs, own.model)


def _read_artifact(release: Release, folder: Path) -> bytes:
    """Return the bytes of the released file; the bytes that are hashed are those that are loaded."""
    name = release.artifact_file
    if name is None or Path(name).name != name:
        raise ReleaseError(
            f"Release {release.name} names {name!r} as its artifact, which must be a file in its folder.", "artifact"
        )
    try:
        graph = (folder / name).read_bytes()
    except OSError as error:
        raise ReleaseError(f"Release {release.name}: its artifact cannot be read: {error}.", "artifact") from error
    found = hashlib.sha256(graph).hexdigest()
    if found != release.artifact_sha256:
        raise ReleaseError(
            f"Release {release.name}: {name} has the SHA-256 {found}, but the record has {release.artifact_sha256}. "
            "The file was changed or damaged: make the release again.",
            "artifact",
        )
    return graph


def _warm_up_arrays(specs: Sequence[TensorSpec]) -> dict[str, Any]:
    """Return inputs of ones (valid tokens, masks and numbers) with few rows, also on a state's second axis."""
    import numpy as np

    shapes = {
        spec.name: spec.example or tuple(1 if length is None else length for length in spec.shape) for spec in specs
    }
    rows = {shapes[spec.name][0] for spec in specs if spec.shape[:1] == (None,)}
    found = {}
    for spec in specs:
        shape = list(shapes[spec.name])
        axis = 0 if spec.shape[:1] == (None,) else 1
        if spec.shape[axis : axis + 1] == (None,) and shape[axis] in rows:
            shape[axis] = min(shape[axis], _WARM_UP_ROWS)
        found[spec.name] = np.ones(shape, dtype=spec.dtype)
    return found
