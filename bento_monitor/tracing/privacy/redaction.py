"""What in a text looks like a person's data or a secret, by patterns that are well known; none finds all of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import accumulate

REDACTED = "[redacted]"
# A secret that begins within the length that is kept is recognised if this many characters after it are seen, too.
LOOKAHEAD = 256

_PATTERNS = tuple(
    re.compile(pattern)
    for pattern in (
        r"[\w.%+-]{1,64}@[\w.-]+",  # e-mail
        r"\d{9,}",  # accounts, telephones, identity numbers; cards that are written together
        r"(?i:\bbearer)\s{1,8}\S{4,}",
        r"(?i:\bbasic)\s{1,8}[A-Za-z0-9+/]{12,}={0,2}",
        # Whole, whatever the scheme: up to the quote that ends it, or the line.
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
    """The first `longest` characters of a text, with `[redacted]` for what must not be read; never longer than that.

    Of a longer text give `longest + LOOKAHEAD` characters, so that what is cut in two is still recognised.
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
    """Whether a word has letters and digits, as keys and hashes do."""
    return any(each.isdigit() for each in word) and any(each.isalpha() for each in word)


def _has_card(groups: str) -> bool:
    """Whether neighbouring groups of digits are a card's number (ISO/IEC 7812-1), with others around them or not."""
    split = re.split(r"\D", groups)
    ends = list(accumulate(map(len, split), initial=0))
    digits = [int(digit) for digit in "".join(split)]
    # Luhn's sums from the left, with each even or each odd place doubled: one sum for every number that may be in it.
    sums = [list(accumulate(_doubled_at(odd, digits), initial=0)) for odd in (0, 1)]
    return any(
        end - start in _CARD_LENGTHS and (sums[end % 2][end] - sums[end % 2][start]) % 10 == 0
        for index, start in enumerate(ends)
        for end in ends[index + 1 : index + _CARD_LENGTHS.stop]
    )


def _doubled_at(odd: int, digits: Sequence[int]) -> Iterator[int]:
    return (_DOUBLED[digit] if place % 2 == odd else digit for place, digit in enumerate(digits))
