"""An in-memory OTLP receiver over HTTP or gRPC, which works correctly or simulates a fault."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal, Protocol, Self

from ..tracing.store.trace_record import SpanRecord
from .faults import Fault
from .inbox import METRICS_PATH, TRACES_PATH, Export, Inbox

if TYPE_CHECKING:
    from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

_POLL_S = 0.02


class Listener(Protocol):
    """A server of one protocol, on one loopback port."""

    def open(self, port: int) -> int:
        """Listen on a port, 0 for any free port; return the port."""
        ...

    def close(self) -> None:
        """Stop listening, and close every connection."""
        ...


class OtlpReceiver:
    """Accepts traces and metrics from any OTLP exporter. A context manager that listens from its creation.

    Examples:
        >>> with OtlpReceiver() as receiver:
        ...     sorted(receiver.environment), receiver.spans()
        (['OTEL_EXPORTER_OTLP_ENDPOINT', 'OTEL_EXPORTER_OTLP_PROTOCOL'], [])
    """

    def __init__(self, protocol: Literal["http/protobuf", "grpc"] = "http/protobuf") -> None:
        self.protocol = protocol
        self._inbox = Inbox()
        self._listener = _make_listener(protocol, self._inbox)
        self._is_listening = True
        self.port = self._listener.open(0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def endpoint(self) -> str:
        """Value for `OTEL_EXPORTER_OTLP_ENDPOINT`."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables that make a process export to this receiver."""
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": self.endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL": self.protocol}

    @property
    def attempts(self) -> int:
        """Number of exports that arrived, including those that a fault rejected."""
        return self._inbox.attempts

    @property
    def exports(self) -> Sequence[Export]:
        """Every accepted export, in order."""
        return tuple(self._inbox.exports)

    def spans(self) -> list[SpanRecord]:
        """Return every accepted span in order of arrival; a span that was sent twice appears twice."""
        from .otlp_messages import spans_of_message

        return [span for each in self.exports if each.path == TRACES_PATH for span in spans_of_message(each.body)]

    def metrics(self) -> list[Metric]:
        """Return every metric of every accepted export, in order of arrival."""
        from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

        return [
            metric
            for each in self.exports
            if each.path == METRICS_PATH
            for of_resource in ExportMetricsServiceRequest.FromString(each.body).resource_metrics
            for of_scope in of_resource.scope_metrics
            for metric in of_scope.metrics
        ]

    def wait_for_spans(
        self, is_enough: Callable[[Sequence[SpanRecord]], bool], timeout_s: float = 20.0
    ) -> list[SpanRecord]:
        """Wait until `is_enough` returns true for the spans, and return them.

        Raises:
            TimeoutError: `is_enough` returned false for `timeout_s`; the message has the number of spans.
        """
        deadline_s = time.monotonic() + timeout_s
        while not is_enough(spans := self.spans()):
            if time.monotonic() > deadline_s:
                raise TimeoutError(f"{len(spans)} spans arrived within {timeout_s:g} s, which is not enough.")
            time.sleep(_POLL_S)
        return spans

    def clear(self) -> None:
        """Discard all accepted exports."""
        self._inbox.exports.clear()

    @contextmanager
    def failing(self, fault: Fault) -> Iterator[None]:
        """Apply a fault to every export inside the `with` block."""
        self._inbox.fault = fault
        try:
            yield
        finally:
            self._inbox.fault = None

    def stop_listening(self) -> None:
        """Refuse new connections, and close existing ones."""
        if self._is_listening:
            self._is_listening = False
            self._listener.close()

    def listen_again(self) -> None:
        """Listen on the same port again."""
        if not self._is_listening:
            self._listener.open(self.port)
            self._is_listening = True

    def close(self) -> None:
        """Stop permanently; accepted exports can still be read."""
        self._inbox.closing.set()
        self.stop_listening()


def _make_listener(protocol: str, inbox: Inbox) -> Listener:
    if protocol == "grpc":
        from .grpc_listener import GrpcListener

        return GrpcListener(inbox)
    from .http_listener import HttpListener

    return HttpListener(inbox)
