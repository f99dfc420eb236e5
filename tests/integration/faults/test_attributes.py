"""Spans of user code with attributes that are no numbers, no attributes, or without end."""

from __future__ import annotations

import pytest
from fault_attributes import AttributesOutcome

from bento_monitor.testing import find_violations

ROW = pytest.mark.parametrize("outcome", ["odd attributes"], indirect=True)


@ROW
def test_they_change_no_answer_and_every_span_is_exported(outcome: AttributesOutcome) -> None:
    assert (outcome.answers.failed, outcome.answers.changed, outcome.wrong) == (0, 0, 0)
    assert outcome.watch.inexact == []
    assert find_violations(outcome.spans, requests=outcome.answers.requests + outcome.asked) == []
    assert sum(span.name == "odd" for span in outcome.spans) == outcome.asked


@ROW
def test_what_can_be_exported_of_them_is_and_texts_have_an_end(outcome: AttributesOutcome) -> None:
    odd = next(span for span in outcome.spans if span.name == "odd")
    assert odd.attributes["plain"] == 1
    assert odd.attributes["infinite"] == float("inf")
    assert odd.attributes["nan"] != odd.attributes["nan"]
    assert len(odd.attributes["long"]) == len(odd.attributes["many long"]) == 16_384
    assert (odd.attributes["half a pair"], odd.attributes["over 64 bits"]) == ("?", str(2**70))
    assert outcome.largest_export_bytes < 2**22
