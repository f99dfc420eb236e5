"""The outcomes of faults as figures, with goals for what they must never do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from fault_attributes import AttributesOutcome
from fault_child import ChildEnd
from fault_collector import Outcome
from fault_flood import FloodOutcome, heavy_headers, parse_cost_us
from fault_fork import ForkOutcome
from fault_kill import KillOutcome
from fault_load import Answers
from fault_server import Reply
from fault_stop import StopOutcome
from fault_watch import Watch
from result import Figure

# The result keeps one of so many readings.
_READINGS_KEPT = 25
_RESUME_S, _STOP_S, _PARSE_US = 10.0, 2.0, 50.0


@dataclass(frozen=True, slots=True)
class Row:
    """The part of the result for one fault."""

    figures: Mapping[str, Figure]
    raw: Mapping[str, Any] = field(default_factory=dict)


def collector_row(outcome: Outcome) -> Row:
    """Return the row of a failing collector."""
    (report,) = outcome.reports
    (exporter,) = report.stats.exporters
    figures = {
        **_answers(outcome.answers),
        **_watched(outcome.watch),
        "resumed": _at_most(outcome.resumed_s, "s", _RESUME_S),
        "attempts": Figure(outcome.attempts, "exports"),
        "rss_growth": Figure(outcome.growth("rss_mib"), "MiB"),
        "threads_growth": Figure(outcome.growth("threads"), "threads"),
        "sockets_growth": _at_most(outcome.growth("sockets"), "sockets", 1),
        "spans_dropped": Figure(exporter.dropped, "spans"),
        "requests_dropped": Figure(report.stats.dropped, "requests"),
    }
    before_ms, during_ms = outcome.p99_before_ms, outcome.p99_during_ms
    if before_ms is not None and during_ms is not None:
        figures["p99_before"] = Figure(before_ms, "ms")
        figures["p99_during"] = Figure(during_ms, "ms")
        figures["p99_shift"] = Figure(during_ms - before_ms, "ms")
    raw = {"report": asdict(report), "received": outcome.received, "duplicates": outcome.duplicates}
    return Row(figures, raw | {"readings": [asdict(each) for each in outcome.watch.readings[::_READINGS_KEPT]]})


def stop_row(outcomes: Mapping[str, StopOutcome]) -> Row:
    """Return the row of SIGTERM with a dead collector."""
    figures: dict[str, Figure] = {}
    for name, outcome in outcomes.items():
        figures[f"{name}, worker"] = _at_most(outcome.worker_s, "s", _STOP_S)
        figures[f"{name}, server"] = Figure(outcome.server_s, "s")
        figures |= {f"{name}, {key}": figure for key, figure in _answers(outcome.answers).items()}
    return Row(figures, {name: [asdict(found) for found in each.reports] for name, each in outcomes.items()})


def kill_row(outcome: KillOutcome) -> Row:
    """Return the row of killed workers."""
    missing = outcome.answers.requests - outcome.answers.failed - outcome.traced
    figures = {
        **_watched(outcome.watch),
        "requests": Figure(outcome.answers.requests, "requests"),
        "failed_in_flight": Figure(outcome.answers.failed - outcome.not_in_flight, "requests"),
        "failed_not_in_flight": _none(outcome.not_in_flight, "requests"),
        "changed": _none(outcome.answers.changed, "requests"),
        "requests_lost": _at_most(missing, "requests", outcome.could_be_lost()),
        "replaced_longest": Figure(max(kill.replaced_s for kill in outcome.kills), "s"),
    }
    return Row(figures, {"kills": [asdict(kill) for kill in outcome.kills], "errors": outcome.answers.errors})


def fork_row(outcome: ForkOutcome) -> Row:
    """Return the row of user code that forks."""
    in_order = (ChildEnd.EXPORTED, ChildEnd.DROPPED)  # over gRPC
    figures = {
        **_answers(outcome.answers),
        "forks": Figure(len(outcome.exit_codes), "forks"),
        "amid_an_export": Figure(outcome.forks_amid_export, "forks"),
        "children_that_exported": Figure(outcome.exit_codes.count(ChildEnd.EXPORTED), "forks"),
        "children_that_failed": _none(sum(code not in in_order for code in outcome.exit_codes), "forks"),
        "duplicates": _none(outcome.duplicates, "spans"),
    }
    return Row(figures, {"exit_codes": outcome.exit_codes})


def flood_row(outcome: FloodOutcome) -> Row:
    """Return the row of callers that force traces."""
    figures = {
        **_answers(outcome.answers),
        **_watched(outcome.watch),
        "traced": _at_most(outcome.traced, "requests", outcome.allowed),
    }
    return Row(figures, {"seconds": outcome.seconds})


def headers_row(replies: Mapping[str, Reply]) -> Row:
    """Return the row of huge tracing headers."""
    expected = heavy_headers()
    wrong = sum(replies[name].status != status for name, (_, status) in expected.items())
    costs = {name: parse_cost_us(headers) for name, (headers, _) in expected.items()}
    figures = {f"parse, {name}": _at_most(cost_us, "us", _PARSE_US) for name, cost_us in costs.items()}
    return Row({"wrong_answers": _none(wrong, "requests"), **figures})


def attributes_row(outcome: AttributesOutcome) -> Row:
    """Return the row of user code's spans with attributes that no exporter supports."""
    missing = outcome.asked - sum(span.name == "odd" for span in outcome.spans)
    figures = {
        **_answers(outcome.answers),
        **_watched(outcome.watch),
        "wrong_answers": _none(outcome.wrong, "requests"),
        "spans_missing": _none(missing, "spans"),
        "largest_export": Figure(outcome.largest_export_bytes / 2**20, "MiB"),
    }
    return Row(figures)


def worker_row(answers: Answers) -> Row:
    """Return the row of a worker with a failing monitor."""
    return Row(_answers(answers), {"errors": answers.errors})


def _answers(answers: Answers) -> dict[str, Figure]:
    return {
        "requests": Figure(answers.requests, "requests"),
        "failed": _none(answers.failed, "requests"),
        "changed": _none(answers.changed, "requests"),
    }


def _watched(watch: Watch) -> dict[str, Figure]:
    return {
        "reports_read": Figure(watch.reports_read, "delivery_reports"),
        "accounts_inexact": _none(len(watch.inexact), "delivery_reports"),
    }


def _none(value: float, unit: str) -> Figure:
    return Figure(value, unit, None, "0", value == 0)


def _at_most(value: float, unit: str, limit: float) -> Figure:
    return Figure(value, unit, None, f"<= {limit:g}", value <= limit)
