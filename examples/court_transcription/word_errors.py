"""The word error rate of transcripts that write the same words differently: case, punctuation, numbers, titles."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

import jiwer
import numpy as np
from numpy.typing import NDArray

_UNITS = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_NUMBERS = {word: number for number, word in enumerate(_UNITS)}
_NUMBERS |= {word: 10 * number for number, word in enumerate(_TENS, 2)}
_ORDINALS = {
    "first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8, "ninth": 9,
    "tenth": 10, "eleventh": 11, "twelfth": 12, "fifteenth": 15, "twentieth": 20, "thirtieth": 30,
}  # fmt: skip
_NUMBERS |= _ORDINALS
_TITLES = {"mister": "mr", "missus": "mrs", "doctor": "dr", "honour": "honor", "metres": "meters", "defense": "defence"}
_NOT_WORDS = re.compile(r"[^\w' ]+")


def word_error_rate(answers: Sequence[str], labels: Sequence[str]) -> float:
    """Return the errors in all texts, over the words of the labels: lower is better."""
    errors, words = utterance_errors(answers, labels)
    return float(errors.sum() / words.sum())


def utterance_errors(answers: Sequence[str], labels: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the word errors of each text, and the words of each label, `(n,)` each."""
    found = jiwer.process_words([normalized(str(each)) for each in labels], [normalized(str(each)) for each in answers])
    errors = [
        sum(max(c.ref_end_idx - c.ref_start_idx, c.hyp_end_idx - c.hyp_start_idx) for c in chunks if c.type != "equal")
        for chunks in found.alignments
    ]
    return np.array(errors), np.array([len(words) for words in found.references])


def normalized(text: str) -> str:
    """Return a text in lower case, without punctuation, with numbers as digits."""
    text = unicodedata.normalize("NFKC", text).casefold().replace("’", "'")
    text = re.sub(r"(?<=\d),(?=\d)", "", text).replace("%", " percent ")
    text = re.sub(r"\$ ?(\d+)", r"\1 dollars", text)
    text = re.sub(r"(?<=\d)(?:st|nd|rd|th)\b", "", text)
    words = [_TITLES.get(word, word) for word in _NOT_WORDS.sub(" ", text).split()]
    return " ".join(_with_digits(words))


def _with_digits(words: list[str]) -> list[str]:
    """Replace runs of number words, such as "three thousand five hundred", by digits."""
    found: list[str] = []
    total = current = 0
    is_open = False
    for word in [*words, ""]:
        if word in _NUMBERS:
            value = _NUMBERS[word]
            # "twenty four" is one number, "nineteen eighty" two.
            if is_open and not (current % 100 == 0 or (current % 10 == 0 and current % 100 >= 20 and value < 10)):
                found.append(str(total + current))
                total = current = 0
            current, is_open = current + value, True
        elif is_open and word == "hundred":
            current *= 100
        elif is_open and word == "thousand":
            total, current = 1000 * current, 0
        else:
            if is_open:
                found.append(str(total + current))
                total, current, is_open = 0, 0, False
            if word:
                found.append(word)
    return found
