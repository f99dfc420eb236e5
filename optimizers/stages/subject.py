"""Stage 1: what is optimized. The service is imported in a child, its API and data are checked, its calls captured."""

from __future__ import annotations

from dataclasses import dataclass

from bento_monitor.model_host.client import ModelHost
from bento_monitor.model_host.records import ApiDescription, ServiceDescription
from bento_monitor.releases.active_store import ActiveStore
from bento_monitor.releases.worker_state import worker_counts
from bento_monitor.settings import load_settings

from ..accuracy.data import EvaluationData, load_data
from ..accuracy.metrics import Metric, parse_metric
from ..errors import StudyInputError
from ..releasing import Subject
from ..study_spec import StudySpec


@dataclass(frozen=True, slots=True)
class StudySubject:
    """The subject of a study, the user's data and metric, and the worker counts to search."""

    subject: Subject
    data: EvaluationData
    metric: Metric
    input_name: str
    workers: tuple[int, ...]


def find_subject(host: ModelHost, spec: StudySpec) -> StudySubject:
    """Check everything that a person gave, before anything long is begun.

    Raises:
        ServiceError: the service cannot be imported, has no runner, or no such API.
        StudyInputError: the metric or the data cannot be used.
    """
    metric = parse_metric(spec.metric)
    description = host.describe()
    api = _choose_api(description, spec.api)
    if api.input_name is None:
        raise StudyInputError(f"The API {api.name!r} must take exactly one argument to be optimized.")
    data = load_data(spec.data, api.input_name, metric)
    interface = host.capture(api.name, data.source, seed=spec.seed)
    return StudySubject(
        subject=Subject(description.service, api, interface),
        data=data,
        metric=metric,
        input_name=api.input_name,
        workers=spec.workers or (_current_workers(description),),
    )


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
