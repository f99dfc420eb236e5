"""Stage 1: what is optimized. The service is imported in a child, its API and data are checked, its calls captured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bento_monitor.errors import ServiceError
from bento_monitor.loadgen.packing import write_bodies
from bento_monitor.model_host.client import ModelHost
from bento_monitor.model_host.records import ApiDescription, RequestSource, ServiceDescription
from bento_monitor.releases.active_store import ActiveStore
from bento_monitor.releases.worker_state import worker_counts
from bento_monitor.settings import load_settings

from ..accuracy.metrics import Metric, parse_metric
from ..data._base import EvaluationData
from ..data.read import read_data
from ..errors import StudyInputError
from ..releasing import Subject
from ..study_spec import StudySpec

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class StudySubject:
    """The subject of a study, its samples as requests in a file, their labels, the metric, and the worker counts."""

    subject: Subject
    requests: RequestSource
    labels: NDArray[Any]
    metric: Metric
    workers: tuple[int, ...]

    @property
    def count(self) -> int:
        """How many samples there are."""
        return len(self.labels)


def find_subject(host: ModelHost, spec: StudySpec, folder: Path) -> StudySubject:
    """Check everything that a person gave, before anything long is begun; the requests are written into `folder`.

    Raises:
        ServiceError: the service cannot be imported, has no runner, or no such API.
        StudyInputError: the metric or the data cannot be used.
    """
    metric = parse_metric(spec.metric)
    description = host.describe()
    api = _choose_api(description, spec.api)
    file = read_data(spec.data)
    if file.labels is None:
        raise StudyInputError(f"{spec.data} has no labels, which the metric {metric.name} needs.")
    requests = _write_requests(host, api, file.requests_for(api), folder)
    interface = host.capture(api.name, requests, seed=spec.seed)
    return StudySubject(
        subject=Subject(description.service, api, interface),
        requests=requests,
        labels=file.labels,
        metric=metric,
        workers=spec.workers or (_current_workers(description),),
    )


def _write_requests(
    host: ModelHost, api: ApiDescription, forms: Sequence[EvaluationData], folder: Path
) -> RequestSource:
    """Write the samples in the first form in which the API answers one.

    Raises:
        ServiceError: it answers in none of them.
    """
    refusals = []
    for index, data in enumerate(forms):
        path = folder / f"requests-{index}.npz"
        write_bodies(path, data.bodies)
        requests = RequestSource(path, data.content_type)
        try:
            host.answer(api.name, requests, 0)
        except ServiceError as error:
            refusals.append(error)
        else:
            return requests
    raise refusals[0]


def _choose_api(description: ServiceDescription, name: str | None) -> ApiDescription:
    known = ", ".join(api.name for api in description.apis) or "none"
    if name is not None:
        chosen = [api for api in description.apis if api.name == name]
        if not chosen:
            raise StudyInputError(f"The service {description.service} has no API {name!r} (it has: {known}).")
        return chosen[0]
    if len(description.apis) != 1:
        raise StudyInputError(f"The service {description.service} has the APIs {known}: name one with --api.")
    return description.apis[0]


def _current_workers(description: ServiceDescription) -> int:
    running = worker_counts(ActiveStore(load_settings().home, description.service).folder)
    return max(running.values(), default=description.workers)
