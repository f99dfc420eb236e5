"""BentoML's application factory with our dispatcher instead of its own, and timestamps around threads."""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from _bentoml_impl.server.app import ServiceAppFactory
from bentoml._internal.context import server_context, trace_context
from bentoml._internal.runner.container import AutoContainer
from bentoml._internal.utils import get_original_func, is_async_callable
from starlette.middleware import Middleware

from ...batching import BatchDispatcher, BatchHooks, isolates_failures
from ...batching.job import RowCodec
from ...conventions import ROUTE_UNMATCHED
from ...fast_path.path import FastPath, FastPathMiddleware
from ...fast_path.plan import PathChoice
from ...request.function_threads import FunctionThreads
from ...request.limits import BodyLimits
from ...request.task_runs import TaskRuns, note_task_status
from ...resilience.circuit_breaker import CircuitBreaker
from ...serving_config import Batching
from ...tracing.ledger.ledger import current_batch, current_ledger
from ...tracing.privacy.captured import InputCapture
from ..hooks import is_supported
from .batch_context import away_from_request, batch_key_of_request, count_rows, share_response, writes_files
from .io_stamps import stamp_descriptors
from .overload import Overloaded
from .route_templates import RouteTemplates
from .schema_memory import remember_schemas

if TYPE_CHECKING:
    from .middlewares import ReplacedMiddlewares


class MonitoredAppFactory(ServiceAppFactory):  # type: ignore[misc]
    """Builds BentoML's application with every supported hook."""

    def __init__(
        self,
        service: Any,
        *,
        is_main: bool,
        batch_hooks: BatchHooks,
        body_limits: BodyLimits | None = None,
        captures: Mapping[str, InputCapture] | None = None,
        task_runs: TaskRuns | None = None,
    ) -> None:
        super().__init__(service, is_main=is_main)
        self._task_runs = task_runs if is_supported("tasks") else None
        self.captures = captures or {}
        self._body_limits = body_limits
        self._threads = FunctionThreads(service.config.get("threads", 1))
        self.batch_dispatchers: dict[str, BatchDispatcher] = {}
        self.replaced: ReplacedMiddlewares | None = None
        self.fast_path: FastPath | None = None
        self._templates: RouteTemplates | None = None
        self._metrics_breaker = CircuitBreaker("Counting batches")
        self._middlewares_built = 0
        for name, method in service.apis.items():
            if is_supported("io_stamps"):
                stamp_descriptors(method, self.captures.get(name))
            if is_supported("schema"):
                remember_schemas(method)
            if method.batchable and is_supported("dispatcher"):
                self.batch_dispatchers[name] = self._make_dispatcher(name, method, batch_hooks)

    def _make_dispatcher(self, name: str, method: Any, hooks: BatchHooks) -> BatchDispatcher:
        into, out = method.batch_dim
        is_async = is_async_callable(method.func)

        def join_outputs(parts: Sequence[Any]) -> Any:
            return AutoContainer.batches_to_batch(parts, out)[0]

        return BatchDispatcher(
            name,
            functools.partial(self._run_batch, name),
            RowCodec(
                count=functools.partial(count_rows, batch_dim=into),
                split=functools.partial(AutoContainer.batch_to_batches, batch_dim=into),
                join_outputs=join_outputs,
            ),
            Batching(max_batch_size=method.max_batch_size, window_ms=0.0),
            max_latency_ms=method.max_latency_ms,
            overloaded=Overloaded,
            # An async function runs on the event loop, one batch at a time, as in BentoML.
            max_in_flight=1 if is_async else self.service.config.get("threads", 1),
            hands_over_early=not is_async,
            isolate_failures=isolates_failures(get_original_func(method.func)),
            hooks=hooks if method.ctx_param is None else dataclasses.replace(hooks, share=share_response),
        )

    async def _run_batch(self, name: str, values: Sequence[Any], rows: int) -> Sequence[Any]:
        method = self.service.apis[name]
        function = getattr(self._service_instance, name).local
        if self.enable_metrics:
            self._metrics_breaker.run(self._observe_batch_size, name, len(values))
        batch, indices = AutoContainer.batches_to_batch(values, method.batch_dim[0])
        extra = {method.ctx_param: self.service.context} if method.ctx_param is not None else {}
        record = current_batch.get()
        if record is not None:
            record.started_ns = record.handed_ns = time.monotonic_ns()
        if is_async_callable(function):
            result = await function(batch, **extra)
        else:
            result = await self._to_thread(_stamp_start, function, batch, **extra)
        outputs: Sequence[Any] = AutoContainer.batch_to_batches(result, indices, method.batch_dim[1])
        return outputs

    def _observe_batch_size(self, name: str, size: int) -> None:
        self.adaptive_batch_size_hist.labels(
            runner_name=self.service.name,
            worker_index=server_context.worker_index,
            method_name=name,
            service_version=server_context.bento_version,
            service_name=server_context.bento_name,
        ).observe(size)

    async def batch_infer(self, name: str, input_args: tuple[Any, ...], input_kwargs: dict[str, Any]) -> Any:
        """Submit one request to our dispatcher, after BentoML's own checks of its arguments."""
        if name not in self.batch_dispatchers:
            with away_from_request(name):
                return await super().batch_infer(name, input_args, input_kwargs)
        method = self.service.apis[name]
        values = [*input_args, *(value for key, value in input_kwargs.items() if key != method.ctx_param)]
        if len(values) != 1:
            raise TypeError("Batch inference function only accept one argument")
        batch_key: Hashable = None
        if method.ctx_param is not None:
            batch_key = object() if writes_files(method) else batch_key_of_request()
        return await self.batch_dispatchers[name].submit(values[0], batch_key)

    def _to_thread(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Awaitable[Any]:
        # Not async, here and below: each nested coroutine would be resumed in turn when the thread is done.
        if not is_supported("threads"):
            stock: Awaitable[Any] = super()._to_thread(func, *args, **kwargs)
            return stock
        ledger = current_ledger.get()
        # `next` is one step of a stream; the time of a stream counts from its first byte to its last.
        if ledger is None or func is next:
            return self._threads.run(func, *args, **kwargs)
        ledger.queued_ns = time.monotonic_ns()

        def call() -> Any:
            ledger.started_ns = time.monotonic_ns()
            try:
                return func(*args, **kwargs)
            finally:
                ledger.ended_ns = time.monotonic_ns()

        return self._threads.run(call)

    async def destroy_instance(self, _: Any) -> None:
        """Run the service's shutdown hooks, then stop the threads."""
        await super().destroy_instance(_)
        self._threads.stop()

    async def _run_task(self, task_id: str, name: str, request: Any) -> None:
        """Run a task, after its submission was answered."""
        run = super()._run_task
        if self._task_runs is None:
            await run(task_id, name, request)
        else:
            await self._task_runs.run(name, functools.partial(run, task_id, name, request))

    async def api_endpoint_wrapper(self, name: str, request: Any) -> Any:
        """Call BentoML's own wrapper, and note the status of a task, whose answer no client receives directly."""
        response = await super().api_endpoint_wrapper(name, request)
        if self._task_runs is not None and self.service.apis[name].is_task:
            note_task_status(response.status_code)
        return response

    def __call__(self) -> Any:
        """Build the application."""
        self.application = super().__call__()
        self._middlewares_built = len(self.application.user_middleware)
        return self.application

    @property
    def service_instance(self) -> Any:
        """The instance of the user's class; available once the application has started."""
        return self._service_instance

    def run_in_thread(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Awaitable[Any]:
        """Run one of the user's functions in a thread of the service."""
        return self._to_thread(func, *args, **kwargs)

    @property
    def middlewares(self) -> list[Any]:
        """BentoML's middlewares without its tracing: nobody receives its spans, and they would orphan the user's spans.

        With the hook `traffic`, our middleware replaces four more for HTTP, and the fast path lies inside the user's
        own middlewares.
        """
        from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware

        kept: list[Any] = super().middlewares
        if is_supported("request_id"):
            kept = [middleware for middleware in kept if middleware.cls is not OpenTelemetryMiddleware]
        if not is_supported("traffic"):
            return kept
        from .middlewares import ReplacedMiddlewares

        self.replaced = ReplacedMiddlewares(kept, self._endpoint_of, self._body_limits)
        innermost = Middleware(FastPathMiddleware, find=lambda: self.fast_path)
        return [*self.replaced.middlewares[:-1], innermost, self.replaced.middlewares[-1]]

    async def open_fast_path(self) -> list[PathChoice]:
        """Choose the path of every API, check each plan against BentoML's own code, and open the fast path."""
        missing = [name for name in _FAST_PATH_HOOKS if not is_supported(name)]
        if missing:
            reason = f"the hook {missing[0]} is disabled"
            return [PathChoice(name, method.route, None, reason) for name, method in self.service.apis.items()]
        from .plans import choose_paths
        from .request_frame import RequestFrame

        choices = await choose_paths(self, self.application)
        plans = {choice.route: choice.plan for choice in choices if choice.plan is not None}
        self.fast_path = FastPath(plans, RequestFrame(self.service.name)) if plans else None
        return choices

    @property
    def direct_fast_path(self) -> FastPath | None:
        """The fast path, if no middleware of the user's and no access control must run around it; else None."""
        are_added = len(self.application.user_middleware) != self._middlewares_built
        is_direct = not self.service.middlewares and not self.enable_access_control and not are_added
        return self.fast_path if is_direct else None

    def template_of(self, path: str, method: str) -> str | None:
        """Return the template of the route that matches a path; None if no route does."""
        if self._templates is None:
            self._templates = RouteTemplates(self.application)
        return self._templates.of(path, method)

    def _endpoint_of(self, path: str) -> str:
        return self.template_of(path, "POST") or ROUTE_UNMATCHED


def _stamp_start(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call the function of a batch and note its start: the thread may have been busy with another batch until now."""
    record = current_batch.get()
    if record is not None:
        record.started_ns = time.monotonic_ns()
    return function(*args, **kwargs)


_FAST_PATH_HOOKS = ("service_app", "traffic", "answers", "request_id", "dispatcher")


def set_request_id(span_id: int) -> None:
    """Set BentoML's `X-BentoML-Request-ID` to the id of our server span."""
    trace_context.request_id = span_id
