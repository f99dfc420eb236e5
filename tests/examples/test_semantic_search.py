from __future__ import annotations

import difflib
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "examples" / "semantic_search"


def test_monitoring_changes_only_import_decorator_and_model() -> None:
    plain = (FOLDER / "service_plain.py").read_text().splitlines()
    monitored = (FOLDER / "service.py").read_text().splitlines()
    changes = [line for line in difflib.ndiff(plain, monitored) if line[0] in "+-"]
    assert changes == [
        "+ from bento_monitor import MonitoredRunner, monitored",
        "+ @monitored",
        "-         self.model = load_encoder()",
        "+         self.model = MonitoredRunner(load_encoder())",
    ]


def test_sentences_are_distinct_within_length_limits_and_of_many_topics(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
    import sentences

    texts, topics = sentences.load_sentences()
    assert len(texts) == len(topics) == len(set(texts)) > 2000
    assert all(30 <= len(text) <= 400 for text in texts)
    assert len(set(topics)) > 70
