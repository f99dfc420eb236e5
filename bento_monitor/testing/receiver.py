"""An OTLP receiver in memory, over HTTP or gRPC, that does what is right or whatever a fault says."""

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
    """A server of one protocol, on one port of loopback."""

    def open(self, port: int) -> int:
        """Listen; 0 is any free port. Returns the port."""
        ...

    def close(self) -> None:
        """Listen no longer, and cut every connection."""
        ...


class OtlpReceiver:
    """Takes traces and metrics from any OTLP exporter. A context manager; it listens from the start."""

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
        """What `OTEL_EXPORTER_OTLP_ENDPOINT` must say."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which a process exports to here."""
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": self.endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL": self.protocol}

    @property
    def attempts(self) -> int:
        """How many exports have reached it, those included that a fault refused."""
        return self._inbox.attempts

    @property
    def exports(self) -> Sequence[Export]:
        """Every export that was taken, in order."""
        return tuple(self._inbox.exports)

    def spans(self) -> list[SpanRecord]:
        """Every span that was taken, in the order in which they came; one that was sent twice is there twice."""
        from .otlp_messages import spans_of_message

        return [span for each in self.exports if each.path == TRACES_PATH for span in spans_of_message(each.body)]

    def metrics(self) -> list[Metric]:
        """Every metric of every export, in the order in which they came."""
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
        """The spans, once they are enough.

        Raises:
            TimeoutError: they were not within `timeout_s`; the message says how many there were.
        """
        deadline_s = time.monotonic() + timeout_s
        while not is_enough(spans := self.spans()):
            if time.monotonic() > deadline_s:
                raise TimeoutError(f"{len(spans)} spans came within {timeout_s:g} s, and they are not enough.")
            time.sleep(_POLL_S)
        return spans

    def clear(self) -> None:
        """Forget what was taken."""
        self._inbox.exports.clear()

    @contextmanager
    def failing(self, fault: Fault) -> Iterator[None]:
        """Treat every export by a fault for as long as the block lasts."""
        self._inbox.fault = fault
        try:
            yield
        finally:
            self._inbox.fault = None

    def stop_listening(self) -> None:
        """Refuse every connection, and cut those that there are."""
        if self._is_listening:
            self._is_listening = False
            self._listener.close()

    def listen_again(self) -> None:
        """Listen on the same port."""
        if not self._is_listening:
            self._listener.open(self.port)
            self._is_listening = True

    def close(self) -> None:
        """Stop for good; what was taken can still be read."""
        self._inbox.closing.set()
        self.stop_listening()


def _make_listener(protocol: str, inbox: Inbox) -> Listener:
    if protocol == "grpc":
        from .grpc_listener import GrpcListener

        return GrpcListener(inbox)
    from .http_listener import HttpListener

    return HttpListener(inbox)
