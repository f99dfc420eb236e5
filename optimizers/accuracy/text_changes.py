"""Whether a text is another one, or the same with some other words, as rounding changes a language model's."""

from __future__ import annotations

from difflib import SequenceMatcher

# A shorter text is a name or a label, in which each word counts.
_MIN_WORDS = 3
_LEAST_SHARED = 0.5


def is_sentence(text: str) -> bool:
    """Whether a text has so many words that some may change."""
    return len(text.split()) >= _MIN_WORDS


def texts_differ(expected: str, found: str) -> bool:
    """Whether two texts differ: at all, or in more than half of their words if the first is a sentence.

    A batch of another composition changes the activations of a quantized model, and so a word here and there: of
    Whisper with dynamic int8 in a third of all sentences.
    """
    if expected == found:
        return False
    if not is_sentence(expected):
        return True
    return SequenceMatcher(None, expected.split(), found.split(), autojunk=False).ratio() < _LEAST_SHARED
