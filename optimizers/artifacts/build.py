"""Building an artifact from its specification: export, comparison with the model, quantization, and caching."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from bento_monitor.errors import BentoMonitorError, InputError, MeasurementError
from bento_monitor.lab.model_host.client import ModelHost
from bento_monitor.lab.model_host.export_record import FixedAxis
from bento_monitor.lab.model_host.messages import Exporter, ModelInterface, Parity
from bento_monitor.resilience.atomic_files import sha256_of

from ..errors import ArtifactError
from .artifact_spec import ArtifactSpec
from .cache import ArtifactCache
from .quantize import quantize

_EXPORTERS: tuple[Exporter, ...] = ("torchscript", "scripted", "dynamo")


@dataclass(frozen=True, slots=True)
class Artifact:
    """What a backend runs.

    `path` and `sha256` are None if torch runs the user's own module. `spec` names the exporter that succeeded. `parity`
    compares the float32 graph with the model; of an int8 artifact, it is the parity of the graph before quantization.
    """

    spec: ArtifactSpec
    path: Path | None
    sha256: str | None
    parity: Parity | None

    @property
    def fixed_axes(self) -> tuple[FixedAxis, ...]:
        """The axes whose length is fixed in the artifact, although the model takes other lengths."""
        export = None if self.parity is None else self.parity.export
        return () if export is None else export.fixed_axes


def build_artifact(host: ModelHost, interface: ModelInterface, spec: ArtifactSpec, cache: ArtifactCache) -> Artifact:
    """Build a float32 artifact of the model that `host` holds and has captured, or find it in the cache.

    The graph is compared with the model in `host`, even if it was cached: on captured inputs and on
    inputs unlike them. The exporters "scripted" and "dynamo" are tried if "torchscript" fails, would drop a branch, or
    makes a graph that differs from the model. Graphs of "dynamo" take 9 to 31 % longer (BERT-like models, one thread).
    If no exporter can make a graph for every length that the model was seen to take, the graph is made for the lengths
    of the samples alone: the own model answers other calls.

    Raises:
        ArtifactError: no graph equal to the model could be built.
        MeasurementError: the process that holds the model died.
    """
    if not spec.needs_file:
        if interface.kind != "torch":
            raise ArtifactError("The runner does not wrap a torch module: use the backend onnxruntime.")
        return Artifact(spec, None, None, None)
    return _export(host, interface, spec, cache)


def quantize_artifact(
    exported: Artifact, spec: ArtifactSpec, cache: ArtifactCache, calibration: Path | None = None
) -> Artifact:
    """Build a quantized artifact from a float32 one, or find it in the cache.

    `calibration` is the file of model inputs that static quantization needs (`ModelHost.model_inputs`).

    Raises:
        ArtifactError: the quantization failed.
    """
    source, source_sha256 = exported.path, exported.sha256
    assert source is not None
    assert source_sha256 is not None
    quantization = spec.quantization
    assert quantization is not None
    spec = replace(
        exported.spec,
        precision=spec.precision,
        quantization=quantization,
        reduces_range=spec.reduces_range,
        calibration_sha256=None if calibration is None else sha256_of(calibration),
    )
    path = cache.get_or_build(
        spec.key(source_sha256),
        lambda target: quantize(
            source, target, quantization, calibration=calibration, reduces_range=spec.reduces_range
        ),
    )
    return Artifact(spec, path, sha256_of(path), exported.parity)


def _export(host: ModelHost, interface: ModelInterface, spec: ArtifactSpec, cache: ArtifactCache) -> Artifact:
    if interface.kind != "torch":
        exporter: Exporter = "copy" if interface.kind == "onnx" else "converted"
        return _export_with(host, interface, replace(spec, exporter=exporter), cache, None)
    exporters = _EXPORTERS[_EXPORTERS.index(spec.exporter) :] if spec.exporter in _EXPORTERS else (spec.exporter,)
    reasons: list[str] = []
    for has_fixed_axes in (False, True) if interface.probed_axes else (False,):
        because = reasons[0] if has_fixed_axes else None
        for exporter in exporters:
            attempt = replace(spec, exporter=exporter, has_fixed_axes=has_fixed_axes)
            try:
                return _export_with(host, interface, attempt, cache, because)
            except ArtifactError as error:
                reasons.append(str(error))
    raise ArtifactError(" ".join(dict.fromkeys(reasons)))


def _export_with(
    host: ModelHost, interface: ModelInterface, spec: ArtifactSpec, cache: ArtifactCache, fixed_because: str | None
) -> Artifact:
    key = spec.key(interface.source)
    was_cached = cache.get(key) is not None
    try:
        path = cache.get_or_build(
            key, lambda target: host.export(target, spec.exporter, opset=spec.opset, fixed_because=fixed_because)
        )
        parity = host.parity(path)
    except (InputError, MeasurementError):
        raise
    except BentoMonitorError as error:
        cache.discard(key)
        raise ArtifactError(str(error)) from error
    if parity.disagreement is None:
        return Artifact(spec, path, sha256_of(path), parity)
    cache.discard(key)
    if was_cached:  # built from code that the fingerprint does not cover and that has changed since
        return _export_with(host, interface, spec, cache, fixed_because)
    raise ArtifactError(f"The ONNX file of the exporter {spec.exporter} differs from the model: {parity.disagreement}.")
