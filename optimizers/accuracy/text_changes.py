"""Whether a text is another one, or the same with some other words, as rounding changes a language model's."""

from __future__ import annotations

from difflib import SequenceMatcher

# A shorter text is a name or a label, in which each word counts.
_MIN_WORDS = 3
_LEAST_SHARED = 0.5


def texts_differ(expected: str, found: str) -> bool:
    """Whether two texts differ: at all, or in more than half of their words if the first is a sentence.

    A batch of another composition changes the activations of a quantized model, and so a word here and there: of
    Whisper with dynamic int8 in a third of all sentences.
    """
    words = expected.split()
    if expected == found or len(words) < _MIN_WORDS:
        return expected != found
    return SequenceMatcher(None, words, found.split(), autojunk=False).ratio() < _LEAST_SHARED
