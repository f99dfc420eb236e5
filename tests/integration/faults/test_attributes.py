"""Spans of user code with NaN, invalid values or huge texts as attributes."""

from __future__ import annotations

import pytest
from fault_attributes import AttributesOutcome

from bento_monitor.testing import find_violations

ROW = pytest.mark.parametrize("outcome", ["odd attributes"], indirect=True)


@ROW
def test_odd_attributes_change_no_response_and_lose_no_span(outcome: AttributesOutcome) -> None:
    assert (outcome.answers.failed, outcome.answers.changed, outcome.wrong) == (0, 0, 0)
    assert outcome.watch.inexact == []
    assert find_violations(outcome.spans, requests=outcome.answers.requests + outcome.asked) == []
    assert sum(span.name == "odd" for span in outcome.spans) == outcome.asked


@ROW
def test_valid_attributes_are_exported_and_texts_are_cut(outcome: AttributesOutcome) -> None:
    odd = next(span for span in outcome.spans if span.name == "odd")
    assert odd.attributes["plain"] == 1
    assert odd.attributes["infinite"] == float("inf")
    assert odd.attributes["nan"] != odd.attributes["nan"]
    assert len(odd.attributes["long"]) == len(odd.attributes["many long"]) == 16_384
    assert (odd.attributes["half a pair"], odd.attributes["over 64 bits"]) == ("?", str(2**70))
    assert outcome.largest_export_bytes < 2**22
