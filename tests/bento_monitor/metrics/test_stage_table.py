"""Stages of many ledgers at once, which equal the stages of each ledger alone."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from bento_monitor.conventions import STAGES
from bento_monitor.metrics.stage_table import _STAMPS, stage_durations_s
from bento_monitor.tracing.ledger.ledger import Ledger
from bento_monitor.tracing.ledger.stages import request_interval, request_stages

STAMPED = st.fixed_dictionaries({name: st.just(0) | st.integers(950, 1200) for name in _STAMPS[1:-1]})


@given(st.lists(STAMPED, min_size=1, max_size=8))
@settings(max_examples=300, deadline=None)
def test_stages_of_many_ledgers_equal_those_of_each(rows: list[dict[str, int]]) -> None:
    ledgers = []
    for row in rows:
        ledger = Ledger(trace_id=1, parent_span_id=0, sampled=False, received_ns=1000)
        for name, value in row.items():
            setattr(ledger, name, value)
        ledger.sent_ns = 1150
        ledgers.append(ledger)
    table, totals = stage_durations_s(ledgers)
    for ledger, found, total in zip(ledgers, table, totals, strict=True):
        expected = {stage.name: stage.interval.duration_ns / 1e9 for stage in request_stages(ledger)}
        assert {name: value for name, value in zip(STAGES, found, strict=True) if not np.isnan(value)} == expected
        assert total == request_interval(ledger).duration_ns / 1e9
