"""Conversion of a candidate to a release that a server can activate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bento_monitor.lab.model_host.export_record import with_fixed_axes
from bento_monitor.lab.model_host.messages import ApiDescription, ModelInterface
from bento_monitor.releases.release_record import Release

from .artifacts.build import Artifact
from .candidate import Candidate

ARTIFACT_FILE = "model.onnx"


@dataclass(frozen=True, slots=True)
class OptimizedApi:
    """What a study optimizes: an API of a service, and the interface of the model that the API calls."""

    service: str
    api: ApiDescription
    interface: ModelInterface


def make_release(
    name: str,
    subject: OptimizedApi,
    candidate: Candidate,
    artifact: Artifact | None,
    evidence: Mapping[str, Any] | None = None,
) -> Release:
    """Return the record of a candidate as a release of `subject`."""
    has_file = artifact is not None and artifact.path is not None
    return Release(
        name=name,
        service=subject.service,
        apis=(subject.api.name,),
        runner=subject.interface.runner,
        execution=candidate.execution,
        batching=candidate.batching if subject.api.is_batchable else None,
        workers=candidate.workers,
        artifact_file=ARTIFACT_FILE if has_file else None,
        artifact_sha256=artifact.sha256 if artifact is not None else None,
        model_fingerprint=subject.interface.fingerprint,
        inputs=with_fixed_axes(subject.interface.inputs, () if artifact is None else artifact.fixed_axes),
        outputs=subject.interface.outputs,
        output_form=subject.interface.output_form,
        evidence=dict(evidence or {}),
    )
