"""Loading a BentoML service in this process, and calling its APIs without a server."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import ServiceError
from .api_paths import api_path
from .import_errors import error_text, explain_import_error, is_service


@dataclass(frozen=True, slots=True)
class ServiceApi:
    """One API of a service."""

    name: str
    route: str
    is_batchable: bool
    parameter_names: tuple[str, ...]
    max_batch_size: int
    method: Any

    @property
    def input_name(self) -> str | None:
        """The name of the only parameter; None if there are several parameters, or none."""
        return self.parameter_names[0] if len(self.parameter_names) == 1 else None


@dataclass(frozen=True, slots=True)
class ApiArguments:
    """The arguments that a request passes to an API's function, without the context."""

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]


def load_service(target: str, working_dir: Path) -> Any:
    """Import the service `module:Service`; its working directory becomes this process's, as in a BentoML worker.

    Raises:
        ServiceError: the service cannot be imported, or is not of BentoML's current kind.
    """
    import bentoml

    try:
        service = bentoml.load(target, working_dir=str(working_dir), standalone_load=True)
    except (Exception, SystemExit) as error:
        raise ServiceError(
            f"The service {target} cannot be imported: {explain_import_error(target, error, working_dir)}."
        ) from error
    if not is_service(service):
        raise ServiceError(f"{target} is not decorated with @bentoml.service, so it cannot be monitored.")
    return service


def apis_of(service: Any) -> tuple[ServiceApi, ...]:
    """Return the APIs of a service, sorted by name."""
    return tuple(_describe_api(service, name, method) for name, method in sorted(service.apis.items()))


def inputs_of(service: Any) -> dict[str, frozenset[str]]:
    """Return the input fields of each API; an API that takes the whole body as one value has the field `root`."""
    return {name: frozenset(method.input_spec.model_fields) for name, method in service.apis.items()}


def input_fields_of(api: ServiceApi) -> list[tuple[str, dict[str, Any], bool, bool]]:
    """Return each input field of the API: its name, its JSON schema, whether it is a file, whether it is required.

    A schema is empty if BentoML has none, as for a type that pydantic cannot describe.
    """
    spec = api.method.input_spec
    try:
        schema = spec.model_json_schema()
    except Exception:
        schema = {}
    files = getattr(spec, "multipart_fields", ())
    if not hasattr(spec, "model_fields") or set(spec.model_fields) == {"root"}:
        return [("root", schema, "root" in files, True)]
    properties = schema.get("properties", {})
    return [
        (name, properties.get(name, {}), name in files, field.is_required())
        for name, field in spec.model_fields.items()
    ]


def api_of(service: Any, name: str) -> ServiceApi:
    """Return the API of that name.

    Raises:
        ServiceError: the service has no such API; the message lists its APIs.
    """
    for api in apis_of(service):
        if api.name == name:
            return api
    names = ", ".join(sorted(service.apis)) or "none"
    raise ServiceError(f"The service {service.name} has no API {name!r}; it has {names}.")


def worker_count(service: Any) -> int:
    """Return how many workers `bentoml serve` starts for the service."""
    workers = service.config.get("workers") or 1
    if isinstance(workers, int):
        return workers
    from _bentoml_impl.server.allocator import ResourceAllocator

    return int(ResourceAllocator().get_worker_env(service)[0])


def instantiate(service: Any) -> Any:
    """Create an instance of the service's class, and run its start-up hooks as a worker does.

    Raises:
        ServiceError: the constructor or a start-up hook fails.
    """
    try:
        instance = service()
        for name in dir(service.inner):
            if not name.startswith("__") and getattr(getattr(service.inner, name), "__bentoml_startup_hook__", False):
                _finish(getattr(instance, name)())
    except ServiceError:
        raise
    except (Exception, SystemExit) as error:
        raise ServiceError(f"The service {service.name} cannot be started: {error_text(error)}.") from error
    return instance


def validated(api: ServiceApi, value: Any) -> Any:
    """Convert a JSON value to what the API's function gets for its only input.

    Raises:
        ServiceError: BentoML refuses the value.
    """
    try:
        return getattr(api.method.input_spec.model_validate({api.input_name: value}), str(api.input_name))
    except ValueError as error:
        raise ServiceError(f"The API {api.name} does not take these samples as {api.input_name}: {error}") from error


def call_api(service: Any, instance: Any, api: ServiceApi, arguments: ApiArguments) -> Any:
    """Call the API's own function, without BentoML's server and batching.

    Raises:
        ServiceError: the function fails.
    """
    context = {api.method.ctx_param: service.context} if api.method.ctx_param else {}
    try:
        return _finish(getattr(instance, api.name).local(*arguments.args, **arguments.kwargs, **context))
    except (Exception, SystemExit) as error:
        raise ServiceError(f"The API {api.name} fails on the samples: {error_text(error)}.") from error


def _describe_api(service: Any, name: str, method: Any) -> ServiceApi:
    parameters = list(inspect.signature(method.func).parameters)[1:]
    return ServiceApi(
        name=name,
        route=api_path(service, method),
        is_batchable=method.batchable,
        parameter_names=tuple(parameter for parameter in parameters if parameter != method.ctx_param),
        max_batch_size=method.max_batch_size,
        method=method,
    )


def _finish(result: Any) -> Any:
    if not inspect.isawaitable(result):
        return result

    async def wait() -> Any:
        return await result

    return asyncio.run(wait())
