"""The operation `describe`: the service's APIs, runners and workers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...backends.own import OwnModel, OwnModule
from ...integrations.bentoml.services import ServiceApi, apis_of, input_fields_of, worker_count
from ...runner import runners
from .messages import ApiDescription, ParameterDescription, RunnerDescription, ServiceDescription
from .state import HostState


def describe(state: HostState) -> ServiceDescription:
    """Import the service, make an instance, and list its APIs and runners.

    Raises:
        ServiceError: the service cannot be imported or started.
    """
    state.load()
    found = tuple(_describe_runner(name, runner.own_model) for name, runner in sorted(runners().items()))
    apis = tuple(map(_describe_api, apis_of(state.service)))
    return ServiceDescription(state.service.name, apis, found, worker_count(state.service))


def _describe_runner(name: str, own: OwnModel) -> RunnerDescription:
    layers = {type(part).__name__ for part in own.model.modules()} if isinstance(own, OwnModule) else set()
    return RunnerDescription(
        name, own.kind, own.precision, device_type(own), has_2d_convolutions(own), tuple(sorted(layers))
    )


def device_type(own: OwnModel) -> str:
    """Return the type of the torch device that holds the weights of a model; "cpu" if it has none."""
    return "cpu" if own.parameter is None else str(own.parameter.device.type)


def has_2d_convolutions(own: OwnModel) -> bool:
    """Whether a model is a torch module in which some weights have four axes."""
    return isinstance(own, OwnModule) and any(weight.ndim == 4 for weight in own.model.parameters())


def _describe_api(api: ServiceApi) -> ApiDescription:
    spec = api.method.input_spec
    return ApiDescription(
        name=api.name,
        route=api.route,
        is_batchable=api.is_batchable,
        max_batch_size=api.max_batch_size,
        parameters=tuple(_describe_parameter(*field) for field in input_fields_of(api)),
        takes_whole_body=bool(getattr(spec, "__root_input__", False)),
    )


def _describe_parameter(name: str, schema: Mapping[str, Any], is_file: bool, is_required: bool) -> ParameterDescription:
    found = _without_null(schema)
    word = found.get("type", "")
    columns = found.get("columns") or ()
    return ParameterDescription(
        name, word if isinstance(word, str) else "", is_file, is_required, tuple(map(str, columns))
    )


def _without_null(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the schema without null, if it allows null and one other type."""
    choices = [each for each in schema.get("anyOf", ()) if each.get("type") != "null"]
    return choices[0] if len(choices) == 1 else schema
