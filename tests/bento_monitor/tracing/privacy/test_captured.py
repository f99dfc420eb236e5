"""Captured inputs: only the configured fields of sampled requests, bounded and redacted."""

from __future__ import annotations

import gc
import weakref
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel, ValidationError

from bento_monitor.settings import MonitorSettings, load_settings, read_settings
from bento_monitor.tracing.ledger.ledger import Ledger
from bento_monitor.tracing.privacy.captured import LONGEST, InputCapture, choose_captures, unknown_fields


class Person(BaseModel):
    name: str
    age: int


def captured(ledger: Ledger, value: Any, *, redacts: bool = True) -> Any:
    InputCapture(["field"], redacts=redacts).note(SimpleNamespace(field=value, other="unasked"))
    assert ledger.captured is not None
    attributes = ledger.captured.attributes()
    assert set(attributes) <= {"bento_monitor.captured.field"}
    return attributes.get("bento_monitor.captured.field")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("text", "text"),
        (5, 5),
        (-0.25, -0.25),
        (0.1234567890123, 0.1234567890123),
        (True, True),
        (None, None),
        (["a", 1, None, 0.1234567890123], '["a", 1, null, 0.123457]'),
        ({"a": [True], "b": {}}, '{"a": [true], "b": {}}'),
        (Person(name="Ann", age=41), '{"name": "Ann", "age": 41}'),
        (np.zeros((2, 3)), "ndarray of shape (2, 3)"),
        (b"bytes", "bytes"),
        (float("nan"), "nan"),
        ("\ud800", "?"),
    ],
)
def test_captured_value_is_a_number_or_a_text(ledger: Ledger, value: Any, expected: Any) -> None:
    found = captured(ledger, value)
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize("value", [4111111111111111, -4111111111111111, 4111111111111111.0, 10**30])
def test_number_that_looks_like_a_card_or_an_account_is_redacted(ledger: Ledger, value: float) -> None:
    assert "[redacted]" in captured(ledger, value)


def test_redaction_can_be_switched_off(ledger: Ledger) -> None:
    assert captured(ledger, "ann@mail.example", redacts=False) == "ann@mail.example"
    assert captured(ledger, 4111111111111111, redacts=False) == 4111111111111111


@pytest.mark.parametrize("value", ["x " * 10**6, ["x"] * 10**6, [[["x" * 10**6]]], {"k" * 10**6: 1}])
def test_length_is_bounded(ledger: Ledger, value: Any) -> None:
    assert len(captured(ledger, value)) == LONGEST


def test_capture_of_a_recursive_value_ends(ledger: Ledger) -> None:
    endless: list[Any] = []
    endless.append(endless)
    assert captured(ledger, endless).startswith("[[")


def test_input_is_not_kept_alive(ledger: Ledger) -> None:
    person = Person(name="n" * 10_000, age=1)
    gone = weakref.ref(person)
    captured(ledger, [person])
    del person
    gc.collect()
    assert gone() is None


def test_unsampled_request_has_no_captured_inputs(ledger: Ledger) -> None:
    ledger.sampled = False
    InputCapture(["field"], redacts=True).note(SimpleNamespace(field="x"))
    assert ledger.captured is None


def test_unreadable_value_is_marked_and_harms_no_other(ledger: Ledger, caplog: pytest.LogCaptureFixture) -> None:
    class Input:
        good = "good"

        @property
        def bad(self) -> str:
            raise OverflowError("too large")

    capture = InputCapture(["bad", "good", "missing"], redacts=True)
    for _ in range(10):
        capture.note(Input())
        assert ledger.captured is not None
        assert ledger.captured.values == {
            "bad": "<not shown: OverflowError>",
            "good": "good",
            "missing": "<not shown: AttributeError>",
        }
    assert caplog.text == ""


def test_field_names_are_looked_up_in_the_inputs_of_a_service() -> None:
    inputs = {"echo": {"text", "count"}, "other": {"text"}}
    chosen = choose_captures(["echo.text", "echo.count", "gone.text", "other.gone"], inputs, redacts=True)
    assert set(chosen) == {"echo"}
    assert unknown_fields(["echo.text", "gone.text", "other.gone"], inputs) == ["gone.text", "other.gone"]
    assert unknown_fields(["gone.text"], inputs, {"gone": {"text"}}) == []


def test_setting_is_a_list_of_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENTO_MONITOR_CAPTURE_FIELDS", "echo.text, other.count,")
    assert load_settings().capture_fields == ("echo.text", "other.count")
    monkeypatch.setenv("BENTO_MONITOR_CAPTURE_FIELDS", "echo")
    settings, (problem,) = read_settings()
    assert settings.capture_fields == ()
    assert "'echo' is not of the form api.field" in problem.text
    monkeypatch.delenv("BENTO_MONITOR_CAPTURE_FIELDS")
    assert load_settings().capture_fields == ()
    with pytest.raises(ValidationError):
        MonitorSettings(capture_fields=(1,))  # type: ignore[arg-type]
