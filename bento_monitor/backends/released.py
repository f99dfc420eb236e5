"""A release as a runner calls it: built off to the side, its file checked first, warmed up before it is used."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import InputError, ReleaseError
from ..releases.record import Release, TensorSpec
from ._base import Backend, UnboundCallError
from .arguments import bind_arguments
from .arrays import device_of, is_array, to_torch
from .onnxruntime import OnnxRuntimeBackend
from .outputs import output_builder
from .own import OwnModel, OwnModule
from .sub_batches import SubBatches
from .torch import TorchBackend

_WARM_UP_CALLS = 2
# Enough to fill allocators and caches; more would take the processor from the requests that are served meanwhile.
_WARM_UP_ROWS = 4


class ReleasedModel:
    """A release in place of the user's own model: the same arguments, the same structure of output."""

    def __init__(self, release: Release, folder: Path, own: OwnModel) -> None:
        """Build the backend of `release`, whose files are in `folder`.

        Raises:
            ReleaseError: a file is missing or is not the one that was released, or the backend cannot be built.
        """
        self.backend: str = release.execution.backend
        self.precision: str = release.execution.precision
        self._names = own.names
        self._device = None if own.parameter is None else own.parameter.device
        self._inputs = {spec.name for spec in release.inputs}
        self._backend = _build_backend(release, folder, own)
        try:
            self._build_output = output_builder(release.output_form, [spec.name for spec in release.outputs])
        except InputError as error:
            raise ReleaseError(str(error)) from error

    def run(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Execute the release.

        Raises:
            UnboundCallError: the arguments are not those that the release was made for.
        """
        inputs = bind_arguments(self._names, args, kwargs)
        if inputs.keys() != self._inputs or not all(is_array(value) for value in inputs.values()):
            raise UnboundCallError(f"The release is for the tensors {sorted(self._inputs)}, not {sorted(inputs)}.")
        return self._build_output(self._backend.run(inputs), device_of(inputs.values()))

    def warm_up(self, release: Release) -> None:
        """Run inputs of the shapes that were seen when the release was made.

        Raises:
            ReleaseError: the backend fails on them.
        """
        inputs = {spec.name: _warm_up_input(spec) for spec in release.inputs}
        if self.backend == "torch":
            inputs = {name: to_torch(value, self._device) for name, value in inputs.items()}
        try:
            for _ in range(_WARM_UP_CALLS):
                self.run((), inputs)
        except Exception as error:
            raise ReleaseError(f"Release {release.name} fails when it is warmed up: {error!r}.") from error


def _build_backend(release: Release, folder: Path, own: OwnModel) -> Backend:
    execution = release.execution
    backend: Backend
    if execution.backend == "torch":
        if not isinstance(own, OwnModule):
            raise ReleaseError(f"Release {release.name} is run by torch, but the runner wraps an ONNX file.")
        backend = TorchBackend(own.model, execution, outputs=release.outputs)
    else:
        graph = _read_artifact(release, folder)
        backend = OnnxRuntimeBackend(graph, execution, inputs=release.inputs, outputs=release.outputs)
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


def _read_artifact(release: Release, folder: Path) -> bytes:
    """The released file. The bytes that are hashed are the bytes that are loaded, so nothing can change between."""
    name = release.artifact_file
    if name is None or Path(name).name != name:
        raise ReleaseError(f"Release {release.name} names {name!r} as its artifact: it must be a file of its folder.")
    try:
        graph = (folder / name).read_bytes()
    except OSError as error:
        raise ReleaseError(f"Release {release.name}: its artifact cannot be read: {error}.") from error
    found = hashlib.sha256(graph).hexdigest()
    if found != release.artifact_sha256:
        raise ReleaseError(
            f"Release {release.name}: {name} has the SHA-256 {found}, not {release.artifact_sha256} as was released. "
            "The file was changed or damaged: release again."
        )
    return graph


def _warm_up_input(spec: TensorSpec) -> Any:
    """Ones: a valid token, a valid mask and a plain number."""
    import numpy as np

    shape = spec.example or tuple(1 if length is None else length for length in spec.shape)
    if spec.shape and spec.shape[0] is None:
        shape = (min(shape[0], _WARM_UP_ROWS), *shape[1:])
    return np.ones(shape, dtype=spec.dtype)
