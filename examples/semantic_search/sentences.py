"""English sentences that come with Python: the language reference in `pydoc_data.topics`."""

from __future__ import annotations

import re
from pydoc_data.topics import topics

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
_MIN_CHARACTERS = 30
_MAX_CHARACTERS = 400


def load_sentences() -> tuple[list[str], list[str]]:
    """Return the distinct sentences of 30 to 400 characters, and the topic of each."""
    topic_of: dict[str, str] = {}
    for topic, text in sorted(topics.items()):
        for sentence in _SENTENCE_END.split(" ".join(text.split())):
            if _MIN_CHARACTERS <= len(sentence) <= _MAX_CHARACTERS:
                topic_of.setdefault(sentence, topic)
    return list(topic_of), list(topic_of.values())
