"""The operation `describe`: what the service is."""

from __future__ import annotations

from ..bentoml_hooks.services import apis_of, worker_count
from ..runner import runners
from .records import ApiDescription, RunnerDescription, ServiceDescription
from .state import HostState


def describe(state: HostState) -> ServiceDescription:
    """Import the service, make an instance, and list its APIs and runners.

    Raises:
        ServiceError: it cannot be imported or started.
    """
    state.load()
    apis = tuple(
        ApiDescription(api.name, api.route, api.is_batchable, api.input_name, api.max_batch_size)
        for api in apis_of(state.service)
    )
    found = tuple(
        RunnerDescription(name, runner.own_model.kind, runner.own_model.precision)
        for name, runner in sorted(runners().items())
    )
    return ServiceDescription(state.service.name, apis, found, worker_count(state.service))
