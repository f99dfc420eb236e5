"""Stage 1: the subject. A child process imports the service; API and data are checked, the model's calls captured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bento_monitor.errors import ServiceError
from bento_monitor.lab.loadgen.packing import write_bodies
from bento_monitor.lab.model_host.client import ModelHost
from bento_monitor.lab.model_host.messages import ApiDescription, RequestSource, ServiceDescription
from bento_monitor.releases.active_store import ActiveStore
from bento_monitor.releases.worker_state import worker_counts
from bento_monitor.settings import require_settings

from ..accuracy.copies import split_samples
from ..accuracy.groups import group_numbers
from ..accuracy.metrics import Metric, parse_metric
from ..data._base import EvaluationData
from ..data.read import read_data
from ..errors import StudyInputError
from ..releasing import OptimizedApi
from ..study_spec import StudySpec


@dataclass(frozen=True, slots=True)
class StudySubject:
    """The subject of a study, its samples as requests in a file, their labels, the metric, and the worker counts.

    Candidates are chosen on the samples `choosing`, and the winner's accuracy is proved on the samples `proving`.
    `copies` is the number of samples in neither, since they repeat another sample. `form` describes how a sample is
    sent. `groups` has the number of each sample's group, if samples belong together.
    """

    subject: OptimizedApi
    requests: RequestSource
    form: str
    labels: NDArray[Any] | None
    groups: NDArray[np.int64] | None
    metric: Metric
    choosing: NDArray[np.int64]
    proving: NDArray[np.int64]
    copies: int
    workers: tuple[int, ...]

    @property
    def count(self) -> int:
        """The number of samples."""
        return len(self.choosing) + len(self.proving) + self.copies


def find_subject(host: ModelHost, spec: StudySpec, folder: Path) -> StudySubject:
    """Check all user input before any long computation; write the requests into `folder`.

    Raises:
        ServiceError: the service cannot be imported, or has no runner.
        StudyInputError: the API does not exist, or the metric or the data cannot be used.
    """
    metric = parse_metric(spec.metric, spec.working_dir)
    spec.max_drop.check(metric)
    description = host.describe()
    api = _choose_api(description, spec.api)
    if api.is_batchable and max(spec.space.max_batch_size, default=0) > api.max_batch_size:
        raise StudyInputError(
            f"--space: max_batch_size has {max(spec.space.max_batch_size)}, but the API {api.name} takes at most "
            f"{api.max_batch_size} in a batch: raise the API's max_batch_size, or give smaller ones."
        )
    files = [read_data(path) for path in (spec.data, spec.prove_data) if path is not None]
    for file in files:
        if file.labels is None and metric.needs_labels:
            raise StudyInputError(
                f"{file.path} has no labels, but the metric {metric.name} needs them: {file.how_to_label}, or use "
                "--metric agreement."
            )
    if spec.baseline is not None:
        _check_baseline(spec.baseline, spec.working_dir, api.name)
    forms = [file.requests_for(api) for file in files]
    form, requests = _write_requests(host, api, forms, folder)
    counts = [len(each[0].bodies) for each in forms]
    labels = _joined_labels([file.labels for file in files])
    groups = _joined_groups([each[0].groups for each in forms])
    bodies = [body for each in forms for body in each[0].bodies]
    choosing, proving = split_samples(bodies, counts, labels, groups, seed=spec.seed)
    interface = host.capture(api.name, requests, seed=spec.seed, runner=spec.runner)
    if interface.largest_batch is not None:
        api = replace(api, max_batch_size=min(api.max_batch_size, interface.largest_batch))
    return StudySubject(
        subject=OptimizedApi(description.service, api, interface),
        requests=requests,
        form=form,
        labels=labels,
        groups=None if groups is None else group_numbers(groups),
        metric=metric,
        choosing=choosing,
        proving=proving,
        copies=sum(counts) - len(choosing) - len(proving),
        workers=spec.workers or (_current_workers(description),),
    )


def _check_baseline(target: str, working_dir: Path, api: str) -> None:
    """Check early that the baseline can be imported; otherwise, the search would fail only after minutes.

    Raises:
        ServiceError: the baseline cannot be imported or started.
        StudyInputError: the baseline has no API of that name.
    """
    with ModelHost(target, working_dir) as host:
        names = [each.name for each in host.describe().apis]
    if api not in names:
        raise StudyInputError(
            f"--baseline {target} has no API {api!r} to compare with (it has: {', '.join(names) or 'none'}): give a "
            "service with this API."
        )


def _write_requests(
    host: ModelHost, api: ApiDescription, files: Sequence[Sequence[EvaluationData]], folder: Path
) -> tuple[str, RequestSource]:
    """Write the samples of all files in the first form that the API answers; return a description of that form.

    Raises:
        ServiceError: the API answers none of the forms.
        StudyInputError: the files have different formats.
    """
    refusals = []
    for index, parts in enumerate(zip(*files, strict=True)):
        if len({data.content_type for data in parts}) > 1:
            raise StudyInputError(
                "--data and --prove-data must have the same format: give two files of requests, or two folders."
            )
        path = folder / f"requests-{index}.npz"
        write_bodies(path, [body for data in parts for body in data.bodies])
        requests = RequestSource(path, parts[0].content_type)
        starts = [0, *np.cumsum([len(data.bodies) for data in parts])[:-1].tolist()]
        try:
            for row in starts:  # the first sample of each file
                host.answer(api.name, requests, row)
        except ServiceError as error:
            refusals.append(error if row == 0 else ServiceError(f"The first sample of --prove-data: {error}"))
        else:
            return parts[0].form, requests
    raise refusals[0]


def _joined_labels(labels: Sequence[NDArray[Any] | None]) -> NDArray[Any] | None:
    present = [each for each in labels if each is not None]
    if len(present) != len(labels):
        return None
    if len({(each.dtype.kind == "U", each.shape[1:]) for each in present}) > 1:
        raise StudyInputError(
            "The labels of --data and --prove-data must have the same type and shape: give numbers in both, or texts."
        )
    return np.concatenate(present)


def _joined_groups(groups: Sequence[NDArray[Any] | None]) -> NDArray[Any] | None:
    present = [each for each in groups if each is not None]
    if not present:
        return None
    if len(present) != len(groups):
        raise StudyInputError("Only one of --data and --prove-data has groups: give groups in both, or in neither.")
    return np.concatenate(present)


def _choose_api(description: ServiceDescription, name: str | None) -> ApiDescription:
    if not description.apis:
        raise StudyInputError(
            f"The service {description.service} has no API: decorate the method to optimize with @bentoml.api."
        )
    known = ", ".join(api.name for api in description.apis)
    if name is not None:
        chosen = [api for api in description.apis if api.name == name]
        if not chosen:
            raise StudyInputError(
                f"The service {description.service} has no API {name!r} (it has: {known}): name one of these with "
                "--api."
            )
        return chosen[0]
    if len(description.apis) != 1:
        raise StudyInputError(f"The service {description.service} has the APIs {known}: name one with --api.")
    return description.apis[0]


def _current_workers(description: ServiceDescription) -> int:
    running = worker_counts(ActiveStore(require_settings().home, description.service).folder)
    return max(running.values(), default=description.workers)
