"""What a court asks beside the word error rate of all: that of each voice."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from word_errors import utterance_errors


def figures(answers: Sequence[str], data: Path) -> dict[str, float]:
    """Return the word error rate of each voice; `answers` are the texts of the utterances in `data`, in their order."""
    rows = [json.loads(line) for line in data.read_text(encoding="utf-8").splitlines()]
    errors, words = utterance_errors(answers, [row["label"] for row in rows])
    found = {}
    for speaker in sorted({row["speaker"] for row in rows}):
        said = [index for index, row in enumerate(rows) if row["speaker"] == speaker]
        found[f"word error rate of {speaker}"] = float(errors[said].sum() / words[said].sum())
    return found
