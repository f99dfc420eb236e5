"""Making the plan by which the fast path serves an API, from BentoML's description of the API."""

from __future__ import annotations

import functools
import inspect
import json
import types
import typing
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from _bentoml_impl.serde import JSONSerde
from _bentoml_sdk.io_models import ARGS, KWARGS, IOMixin, IORootModel, is_file_type
from bentoml._internal.utils import get_original_func
from pydantic import BaseModel
from starlette.responses import Response

from ...fast_path.json_bytes import dump_json
from ...fast_path.plan import Answer, Arguments, PathChoice, Plan
from ...tracing.privacy.captured import InputCapture
from .api_paths import api_path
from .io_stamps import unstamped
from .plan_check import find_difference

_TEXT_SCHEMAS = ("string", "file")
# A value validated against one of these types is never dumped as text or bytes. BentoML dumps every value to find out.
_NEVER_TEXT = {
    "builtins.bool",
    "builtins.dict",
    "builtins.float",
    "builtins.int",
    "builtins.list",
    "numpy.ndarray",
    "pandas.DataFrame",
    "torch.Tensor",
}


# Cached: BentoML calls this for each value, and imports a placeholder for Pillow each time.
_is_file_type: Callable[[Any], bool] = functools.lru_cache(maxsize=256)(is_file_type)


class ApiCaller(Protocol):
    """The caller of a service's functions: BentoML's application factory with our dispatcher."""

    service: Any
    captures: Mapping[str, InputCapture]

    @property
    def service_instance(self) -> Any:
        """The instance of the user's class."""

    async def batch_infer(self, name: str, input_args: tuple[Any, ...], input_kwargs: dict[str, Any]) -> Any:
        """Return the answer to one request, computed in a batch."""

    def run_in_thread(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Awaitable[Any]:
        """Run a function in one of the service's threads."""


class _NoPlan(Exception):  # noqa: N818 - not an error: the API takes BentoML's own path
    """The API has no plan; the message gives the reason."""


async def choose_paths(factory: ApiCaller, application: Any) -> list[PathChoice]:
    """Choose the path of every API: the fast path if its plan reads and writes exactly as BentoML does."""
    return [await _choose_checked(factory, application, *api) for api in factory.service.apis.items()]


async def _choose_checked(factory: ApiCaller, application: Any, name: str, method: Any) -> PathChoice:
    choice = _choose(factory, application, name, method)
    if choice.plan is None:
        return choice
    try:
        reason = await find_difference(choice.plan, method, factory.service.context)
    except Exception as error:
        reason = f"its plan cannot be checked ({type(error).__name__}: {error})"
    return choice if reason is None else PathChoice(name, choice.route, None, reason)


def _choose(factory: ApiCaller, application: Any, name: str, method: Any) -> PathChoice:
    path = api_path(factory.service, method)
    try:
        route = _route_of(application, path, name)
        plan = Plan(
            api=name,
            call=_caller(factory, name, method),
            parse=_parser(method, factory.service.context, factory.captures.get(name)),
            render=_renderer(method.output_spec),
            render_otherwise=lambda output: method.output_spec.to_http_response(output, JSONSerde()),
            context_parameter=method.ctx_param,
            scope={
                "app": application,
                "router": application.router,
                "endpoint": route.endpoint,
                "path_params": {},
            },
        )
    except _NoPlan as reason:
        return PathChoice(name, path, None, str(reason))
    except Exception as error:  # a spec defined by the user can fail in any way
        return PathChoice(name, path, None, f"its plan cannot be made ({type(error).__name__}: {error})")
    return PathChoice(name, path, plan, "")


def _route_of(application: Any, path: str, name: str) -> Any:
    """Return the route that BentoML's router chooses for a request to this path."""
    from starlette.routing import Match, Route

    if "{" in path:
        raise _NoPlan("its route has parameters")
    scope = {"type": "http", "path": path, "root_path": "", "method": "POST"}
    for route in application.router.routes:
        if route.matches(scope)[0] is Match.FULL:
            if isinstance(route, Route) and route.name == name:
                return route
            break
    raise _NoPlan("another route of the service matches first")


def _caller(factory: ApiCaller, name: str, method: Any) -> Callable[[tuple[Any, ...], dict[str, Any]], Awaitable[Any]]:
    original = get_original_func(method.func)
    if method.is_task:
        raise _NoPlan("it is a task")
    if method.is_stream or inspect.isasyncgenfunction(original) or inspect.isgeneratorfunction(original):
        raise _NoPlan("it is a stream")
    if method.batchable:
        return functools.partial(factory.batch_infer, name)

    @functools.cache
    def function() -> Any:  # looked up once the service instance exists
        return getattr(factory.service_instance, name).local

    if inspect.iscoroutinefunction(original):
        return lambda args, kwargs: function()(*args, **kwargs)
    return lambda args, kwargs: factory.run_in_thread(function(), *args, **kwargs)


def _parser(method: Any, context: Any, capture: InputCapture | None) -> Callable[[bytes], Arguments]:
    spec = method.input_spec
    if unstamped(spec, "from_http_request") is not IOMixin.from_http_request.__func__:
        raise _NoPlan("its input is parsed by custom code")
    if spec.multipart_fields:
        raise _NoPlan("it takes files")
    read = _reader(spec) if capture is None else capture.around(_reader(spec))
    context_argument = {} if method.ctx_param is None else {method.ctx_param: context}
    if getattr(spec, "__root_input__", False):
        if issubclass(spec, IORootModel):
            return lambda body: ((read(body).root,), dict(context_argument))
        return lambda body: ((read(body),), dict(context_argument))
    names = tuple(spec.model_fields)
    has_args, has_kwargs = ARGS in names, KWARGS in names

    def parse(body: bytes) -> Arguments:
        data = read(body)
        kwargs = {name: getattr(data, name) for name in names}
        kwargs.update(context_argument)
        args = (kwargs.pop(ARGS),) if has_args else ()
        if has_kwargs:
            kwargs.update(kwargs.pop(KWARGS))
        return args, kwargs

    return parse


def _reader(spec: Any) -> Callable[[bytes], Any]:
    """Return `spec.model_validate_json`; for a root model, without building its JSON schema on each call."""
    if not issubclass(spec, IORootModel):
        stock: Any = BaseModel.model_validate_json
        if spec.model_validate_json.__func__ is not stock.__func__:
            return lambda body: spec.model_validate_json(body or b"{}")
        validate_json = spec.__pydantic_validator__.validate_json
        return lambda body: validate_json(body or b"{}")
    if spec.model_validate_json.__func__ is not IORootModel.model_validate_json.__func__:
        raise _NoPlan("its input is parsed by custom code")
    if spec.model_json_schema().get("type") in _TEXT_SCHEMAS:
        return lambda body: spec.model_validate(body or b"{}")
    return lambda body: spec.model_validate(json.loads(body or b"{}"))


def _renderer(spec: Any) -> Callable[[Any], Answer | None]:
    if unstamped(spec, "to_http_response") is not IOMixin.to_http_response.__func__:
        raise _NoPlan("its output is serialized by custom code")
    content_type = _content_type(spec.mime_type())
    if not issubclass(spec, IORootModel):
        if spec.multipart_fields:
            raise _NoPlan("it returns files")
        return lambda obj: None if _is_left_to_bentoml(obj) else _answer(_to_json(obj), content_type)

    kind = _kind_of_value(spec.model_fields["root"].annotation)
    if spec.model_dump_json is not IORootModel.model_dump_json or spec.__init__ is not IORootModel.__init__:
        raise _NoPlan("its output is serialized by custom code")
    validate, dump = spec.__pydantic_validator__.validate_python, spec.__pydantic_serializer__.to_python

    def render(obj: Any) -> Answer | None:
        if _is_left_to_bentoml(obj) or _is_file_type(type(obj)):
            return None
        is_model = isinstance(obj, IORootModel)
        model = obj
        if not is_model:  # same as `spec(obj)`, in one step
            model = spec.__new__(spec)
            validate({"root": obj}, self_instance=model)
        if is_model or kind not in _NEVER_TEXT:
            rendered = model.model_dump()
            if isinstance(rendered, str | bytes):
                return _answer(rendered if isinstance(rendered, bytes) else rendered.encode(), content_type)
        return _answer(_to_json(model) if is_model else dump_json(dump(model, mode="json")["root"]), content_type)

    return render


def _kind_of_value(annotation: Any) -> str:
    kind = typing.get_origin(annotation) or annotation
    return f"{kind.__module__}.{kind.__qualname__}"


def _is_left_to_bentoml(obj: Any) -> bool:
    return isinstance(obj, Response | types.GeneratorType | types.AsyncGeneratorType)


def _to_json(model: Any) -> bytes:
    text: str = model.model_dump_json(exclude=set(getattr(model, "multipart_fields", ())))
    return text.encode()


def _answer(body: bytes, content_type: tuple[bytes, bytes]) -> Answer:
    return Answer(body, (b"content-length", b"%d" % len(body)), content_type)


def _content_type(mime_type: str) -> tuple[bytes, bytes]:
    if mime_type.startswith("text/") and "charset=" not in mime_type.lower():
        mime_type += "; charset=utf-8"
    return b"content-type", mime_type.encode("latin-1")
