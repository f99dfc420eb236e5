from __future__ import annotations

from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "examples" / "semantic_search"


def test_sentences_are_distinct_within_length_limits_and_of_many_topics(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
    import sentences

    texts, topics = sentences.load_sentences()
    assert len(texts) == len(topics) == len(set(texts)) > 2000
    assert all(30 <= len(text) <= 400 for text in texts)
    assert len(set(topics)) > 70
