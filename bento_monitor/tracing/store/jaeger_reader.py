"""Reads traces from Jaeger's query API, version 3, with the interface of the embedded store."""

from __future__ import annotations

import json
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from ... import conventions as names
from ...errors import InputError
from .otlp_json import spans_of_json
from .trace_record import SpanRecord, Trace, TraceSummary, summary_of

_TIMEOUT_S = 30.0
_TRACE_ID = re.compile(r"[0-9a-f]{32}")
# Jaeger cannot order by duration: the slowest are searched in each service's latest traces.
_SEARCH_DEPTH = 500
# Names of the parameter in Jaeger up to 2.18 and since; unknown parameters are ignored.
_DEPTH_NAMES = ("query.num_traces", "query.search_depth")
_LOOK_BACK_NS = 24 * 3600 * 10**9
_SERVER = "SERVER"
# Jaeger answers 404 if it does not have the trace.
_TRACES = "/api/v3/traces"
_JAEGER_PREFIX = "@jaeger@"


class JaegerReader:
    """Reads from a running Jaeger. Every method raises `InputError` if Jaeger cannot be reached or returns an error."""

    def __init__(self, url: str) -> None:
        """`url` is the URL of the query service, such as `http://127.0.0.1:16686`."""
        self._url = url.rstrip("/")
        if not self._url.startswith(("http://", "https://")):
            raise InputError(f"{url!r} is not the URL of a Jaeger query service: give one like http://127.0.0.1:16686.")

    def slowest(
        self, limit: int, *, service: str | None = None, since_ns: int | None = None, slower_than_ns: int = 0
    ) -> list[TraceSummary]:
        """Return the slowest requests among each service's latest 500 traces; by default of the last 24 hours."""
        services = [service] if service is not None else self._services()
        spans = [span for each in services for span in self._latest(each, since_ns, slower_than_ns)]
        children: dict[tuple[str, str | None], list[SpanRecord]] = {}
        for span in spans:
            children.setdefault((span.trace_id, span.parent_span_id), []).append(span)
        servers = {(span.trace_id, span.span_id): span for span in spans if span.kind == _SERVER}
        kept = [
            span
            for span in servers.values()
            if span.duration_ns >= slower_than_ns and (service is None or span.service == service)
        ]
        kept.sort(key=lambda span: span.duration_ns, reverse=True)
        return [summary_of(span, children.get((span.trace_id, span.span_id), ())) for span in kept[:limit]]

    def trace(self, trace_id_prefix: str) -> Trace:
        """Return the trace with an id, which must be complete: Jaeger cannot search by the first digits."""
        trace_id = trace_id_prefix.strip().lower()
        if not _TRACE_ID.fullmatch(trace_id):
            raise InputError(f"{trace_id_prefix!r} is not a whole trace id: Jaeger needs all 32 hexadecimal digits.")
        spans = sorted(self.spans(trace_id), key=lambda span: span.start_ns)
        if not spans:
            raise InputError(f"Jaeger has no trace {trace_id}.")
        return Trace(trace_id, tuple(spans), tuple(self._linked(spans)))

    def spans(self, trace_id: str) -> list[SpanRecord]:
        """Return the spans of one trace; an empty list if Jaeger does not have it."""
        return _spans_of(self._ask(f"{_TRACES}/{trace_id}"))

    def _linked(self, spans: list[SpanRecord]) -> Iterator[SpanRecord]:
        for link in dict.fromkeys(link for span in spans if span.name == names.SPAN_INFER for link in span.links):
            yield from (
                span for span in self.spans(link.trace_id) if link.span_id in (span.span_id, span.parent_span_id)
            )

    def _services(self) -> list[str]:
        found: list[str] = self._ask("/api/v3/services").get("services") or []
        return found

    def _latest(self, service: str, since_ns: int | None, slower_than_ns: int) -> list[SpanRecord]:
        now_ns = time.time_ns()
        query = {
            "query.service_name": service,
            "query.start_time_min": _rfc_3339(now_ns - _LOOK_BACK_NS if since_ns is None else since_ns),
            "query.start_time_max": _rfc_3339(now_ns),
            **dict.fromkeys(_DEPTH_NAMES, str(_SEARCH_DEPTH)),
        }
        if slower_than_ns:
            query["query.duration_min"] = f"{slower_than_ns}ns"
        return _spans_of(self._ask(f"{_TRACES}?{urllib.parse.urlencode(query)}"))

    def _ask(self, path: str) -> Mapping[str, Any]:
        try:
            with urllib.request.urlopen(self._url + path, timeout=_TIMEOUT_S) as response:  # noqa: S310 - http alone
                answer: Mapping[str, Any] = json.load(response)
        except urllib.error.HTTPError as error:
            if error.code == 404 and path.startswith(_TRACES):
                return {"result": {}}
            text = error.read(300).decode(errors="replace")
            raise InputError(f"Jaeger at {self._url} answers {error.code}: {text}") from error
        except (OSError, ValueError) as error:
            raise InputError(
                f"No Jaeger answers at {self._url} ({error}): give the URL of its query service."
            ) from error
        return answer


def _spans_of(answer: Mapping[str, Any]) -> list[SpanRecord]:
    """Return the spans as they were exported, without the attributes that Jaeger adds."""
    return [
        replace(
            span,
            attributes={name: value for name, value in span.attributes.items() if not name.startswith(_JAEGER_PREFIX)},
        )
        for span in spans_of_json(answer["result"])
    ]


def _rfc_3339(wall_ns: int) -> str:
    return datetime.fromtimestamp(wall_ns / 1e9, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
