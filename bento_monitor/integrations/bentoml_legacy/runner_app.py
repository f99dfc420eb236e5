"""The application of a legacy runner process: inside our entry, with our dispatcher for batched methods."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

from bentoml._internal.runner.container import AutoContainer, Payload
from bentoml._internal.runner.utils import Params
from bentoml._internal.server.runner_app import RunnerAppFactory

from ...batching import BatchDispatcher, BatchHooks
from ...batching.job import RowCodec
from ...serving_config import Batching
from ...tracing.ledger.ledger import current_batch, current_ledger
from ..bentoml.overload import Overloaded
from ..hooks import is_supported
from .app import without_tracing
from .runner import MonitoredRunnerMixin


class RunnerProcess(Protocol):
    """The monitoring around the runner of this process."""

    @property
    def batch_hooks(self) -> BatchHooks:
        """The hooks that are called around the runner's batches."""

    def enter(self, application: Any, routes: Mapping[str, str]) -> Any:
        """Return the runner's application inside our entry; `routes` maps the path of each method to its name."""


def wrap_runner_app(open_process: Callable[[str], RunnerProcess | None]) -> None:
    """Make BentoML's factory build our application for a monitored runner; idempotent.

    The process has imported the factory by name before it imports the user's module, so the class must stay the same.
    `open_process` gets the runner's name; if it returns None, the runner is served as by BentoML.
    """

    def make(cls: Any, runner: Any, *_: Any, **__: Any) -> Any:
        is_ours = (
            cls is RunnerAppFactory and isinstance(runner, MonitoredRunnerMixin) and is_supported("legacy_runner_app")
        )
        process = open_process(runner.name) if is_ours else None
        if process is None:
            return object.__new__(cls)
        factory = object.__new__(MonitoredRunnerAppFactory)
        factory.process = process
        return factory

    factory_class: Any = RunnerAppFactory
    factory_class.__new__ = staticmethod(make)


class MonitoredRunnerAppFactory(RunnerAppFactory):
    """Builds BentoML's application with `process` around it."""

    process: RunnerProcess

    def __init__(self, runner: Any, worker_index: int = 0) -> None:
        super().__init__(runner, worker_index=worker_index)
        methods = {method.name: method for method in runner.runner_methods}
        ours: Any = {name: _Dispatcher(methods[name], self.process.batch_hooks) for name in self.dispatchers}
        self.dispatchers = ours

    @property
    def middlewares(self) -> list[Any]:
        """BentoML's middlewares, without its tracing."""
        return without_tracing(super().middlewares)

    def __call__(self) -> Any:
        """Build the application."""
        paths = {"/" if each.name == "__call__" else f"/{each.name}": each.name for each in self.runner.runner_methods}
        return self.process.enter(super().__call__(), paths)

    def _mk_request_handler(self, runner_method: Any, batching: bool = True) -> Any:
        method: Any = _StampedMethod(runner_method)
        handle = super()._mk_request_handler(method, batching)

        async def stamped(request: Any) -> Any:
            ledger = current_ledger.get()
            if ledger is None:
                return await handle(request)
            ledger.read_ns = time.monotonic_ns()
            response = await handle(request)
            if ledger.serialize_started_ns:
                ledger.serialized_ns = time.monotonic_ns()
            return response

        return stamped


class _StampedMethod:
    """A runner method whose calls, for one request or one batch, are timestamped."""

    def __init__(self, own: Any) -> None:
        self._own = own

    def __getattr__(self, name: str) -> Any:
        return getattr(self._own, name)

    async def async_run(self, *args: Any, **kwargs: Any) -> Any:
        batch, ledger = current_batch.get(), current_ledger.get()
        if batch is not None:
            batch.handed_ns = batch.started_ns = time.monotonic_ns()
        elif ledger is not None:
            ledger.parsed_ns = ledger.queued_ns = time.monotonic_ns()
        try:
            return await self._own.async_run(*args, **kwargs)
        finally:
            if batch is None and ledger is not None:
                ledger.serialize_started_ns = time.monotonic_ns()
                # The call had to wait for the only thread; its own time was measured in that thread.
                for call in ledger.model_calls:
                    ledger.started_ns = ledger.started_ns or call.started_ns
                    ledger.ended_ns = call.ended_ns

    def async_stream(self, *args: Any, **kwargs: Any) -> Any:
        ledger = current_ledger.get()
        if ledger is not None:
            ledger.parsed_ns = time.monotonic_ns()
        return self._own.async_stream(*args, **kwargs)


class _Dispatcher:
    """Our dispatcher with the interface of BentoML's."""

    def __init__(self, method: Any, hooks: BatchHooks) -> None:
        self._method = method
        self._hooks = hooks

    def __call__(self, infer_batch: Callable[[Sequence[Any]], Awaitable[Sequence[Any]]]) -> Any:
        method = self._method
        into, out = method.config.batch_dim

        async def run(values: Sequence[Any], _: int) -> Sequence[Any]:
            return await infer_batch(values)

        dispatcher = BatchDispatcher(
            method.name,
            run,
            RowCodec(
                count=lambda params: int(params.sample.batch_size),
                split=lambda params, indices: _split(params, indices, into),
                join_outputs=lambda parts: _joined(parts, out),
            ),
            Batching(max_batch_size=method.max_batch_size, window_ms=0.0),
            max_latency_ms=method.max_latency_ms,
            overloaded=Overloaded,
            hooks=self._hooks,
        )

        async def submit(params: Any) -> Any:
            ledger = current_ledger.get()
            if ledger is not None:
                ledger.parsed_ns = time.monotonic_ns()
            output = await dispatcher.submit(params)
            if ledger is not None:
                ledger.serialize_started_ns = time.monotonic_ns()
            return output

        return submit

    def shutdown(self) -> None:
        """Do nothing: no request waits when the server ends."""


def _split(params: Any, indices: Sequence[int], dimension: int) -> list[Any]:
    """Return the arguments of each part. BentoML's own code raises here, and then every later request waits forever."""
    cut = {
        name: AutoContainer.batch_to_payloads(AutoContainer.from_payload(payload), indices, dimension)
        for name, payload in params.items()
    }
    parts = range(len(indices) - 1)
    return [Params.from_dict({name: payloads[part] for name, payloads in cut.items()}) for part in parts]


def _joined(parts: Sequence[Any], dimension: int) -> Any:
    """Join the parts of one answer; if there are several outputs, join each of them."""
    if not isinstance(parts[0], Payload):
        return tuple(_joined(outputs, dimension) for outputs in zip(*parts, strict=True))
    values = [AutoContainer.from_payload(part) for part in parts]
    return AutoContainer.to_payload(AutoContainer.batches_to_batch(values, dimension)[0], dimension)
