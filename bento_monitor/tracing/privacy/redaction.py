"""Redacts personal data and secrets in texts by well-known patterns, which do not find all of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import accumulate

REDACTED = "[redacted]"
# A secret that begins within the kept length is recognized if this many further characters are given.
LOOKAHEAD = 256

_PATTERNS = tuple(
    re.compile(pattern)
    for pattern in (
        r"[\w.%+-]{1,64}@[\w.-]+",  # e-mail
        r"\d{9,}",  # account, telephone and identity numbers; card numbers without spaces
        r"(?i:\bbearer)\s{1,8}\S{4,}",
        r"(?i:\bbasic)\s{1,8}[A-Za-z0-9+/]{12,}={0,2}",
        # The whole header value, whatever the scheme: up to the closing quote or the end of the line.
        r"(?i:authorization)[\"']?\s{0,8}[:=]\s{0,8}[\"']?[^\"'\r\n]+",
        r"(?i:api[_-]?key|secret|token|passw(?:or)?d)[\"']?\s{0,8}[:=]\s{0,8}[\"']?[^\s\"',;&}]+",
        r"\b(?:sk|pk|rk|gh[pousr]|github_pat|glpat|hf|xox[abprs])[-_][\w-]{12,}",
        r"\b(?:AKIA|ASIA)[0-9A-Z]{16}|\bAIza[\w-]{30,}|\beyJ[\w-]+\.[\w-]+(?:\.[\w-]*)?",
    )
)
_LONG_WORD = re.compile(r"[A-Za-z0-9_+/]{32,}=*")
_DIGIT_GROUPS = re.compile(r"\d+(?:[\s.-]\d+)+")
_CARD_LENGTHS = range(13, 20)
_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)


def redact(text: str, longest: int) -> str:
    """Return the first `longest` characters of a text, with `[redacted]` in place of secrets; never longer.

    For a longer text, pass `longest + LOOKAHEAD` characters, so that a secret at the cut is still recognized.
    """
    parts: list[str] = []
    reached = 0
    for start, end in sorted(_secrets(text)):
        if start >= longest:
            break
        if end > reached:
            parts += (text[reached:start], REDACTED) if start >= reached else ()
            reached = end
    parts.append(text[reached:longest])
    return "".join(parts)[:longest]


def _secrets(text: str) -> Iterator[tuple[int, int]]:
    for pattern in _PATTERNS:
        yield from (match.span() for match in pattern.finditer(text))
    yield from (match.span() for match in _LONG_WORD.finditer(text) if _is_key(match[0]))
    yield from (match.span() for match in _DIGIT_GROUPS.finditer(text) if _has_card(match[0]))


def _is_key(word: str) -> bool:
    """Return whether a word has letters and digits, as keys and hashes have."""
    return any(each.isdigit() for each in word) and any(each.isalpha() for each in word)


def _has_card(groups: str) -> bool:
    """Return whether some adjacent groups of digits form a card number (ISO/IEC 7812-1)."""
    split = re.split(r"\D", groups)
    ends = list(accumulate(map(len, split), initial=0))
    digits = [int(digit) for digit in "".join(split)]
    # Luhn sums from the left, with even or with odd places doubled: together they check every possible card number.
    sums = [list(accumulate(_doubled_at(odd, digits), initial=0)) for odd in (0, 1)]
    return any(
        end - start in _CARD_LENGTHS and (sums[end % 2][end] - sums[end % 2][start]) % 10 == 0
        for index, start in enumerate(ends)
        for end in ends[index + 1 : index + _CARD_LENGTHS.stop]
    )


def _doubled_at(odd: int, digits: Sequence[int]) -> Iterator[int]:
    return (_DOUBLED[digit] if place % 2 == odd else digit for place, digit in enumerate(digits))
