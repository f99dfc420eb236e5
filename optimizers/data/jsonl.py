"""A `.jsonl` file: on each line the body of a request, and its label.

A line is the body with `label` beside its parameters, `{"text": "good", "label": 1}`, or both apart,
`{"request": {"text": "good"}, "label": 1}`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bento_monitor.lab.model_host.messages import ApiDescription

from ..errors import StudyInputError
from ._base import JSON, DataFile, EvaluationData, check_count, labels_array

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LABEL, _REQUEST = "label", "request"


def read_jsonl(path: Path) -> DataFile:
    """Read every line.

    Raises:
        StudyInputError: a line is no JSON object, or only some have a label.
    """
    lines = _read_lines(path)
    check_count(path, len(lines))
    labelled = [line for _, line in lines if _LABEL in line]
    if labelled and len(labelled) < len(lines):
        number = next(number for number, line in lines if _LABEL not in line)
        raise StudyInputError(f"{path}, line {number} has no {_LABEL!r}, and others have one: give all, or none.")
    labels = labels_array(path, [line[_LABEL] for line in labelled]) if labelled else None
    add = f"give each line a {_LABEL!r}"
    return DataFile(path, add, labels, partial(_requests_for, path, lines, labels))


def _requests_for(
    path: Path, lines: Sequence[tuple[int, Mapping[str, Any]]], labels: NDArray[Any] | None, api: ApiDescription
) -> Sequence[EvaluationData]:
    names = {parameter.name for parameter in api.parameters}
    bodies = []
    for number, line in lines:
        if _REQUEST in line and _REQUEST not in names:
            body = line[_REQUEST]
        elif _LABEL in names:
            raise StudyInputError(
                f"{path}, line {number}: the API {api.name} has a parameter 'label', so write the body apart: "
                '{"request": {...}, "label": ...}.'
            )
        else:
            body = {name: value for name, value in line.items() if name != _LABEL}
        bodies.append(json.dumps(body).encode())
    return [EvaluationData(tuple(bodies), JSON, labels, "each line's body as it is")]


def _read_lines(path: Path) -> list[tuple[int, Mapping[str, Any]]]:
    lines: list[tuple[int, Mapping[str, Any]]] = []
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise StudyInputError(f"{path} cannot be read: {error}.") from error
    for number, written in enumerate(text.split("\n"), 1):
        if not written.strip():
            continue
        try:
            line = json.loads(written)
        except ValueError as error:
            raise StudyInputError(f"{path}, line {number} is no JSON: {error}.") from error
        except RecursionError as error:
            raise StudyInputError(f"{path}, line {number} is nested too deeply to be read.") from error
        if not isinstance(line, dict):
            raise StudyInputError(
                f'{path}, line {number} is no JSON object: write body and label, as {{"text": "a", "label": 1}}.'
            )
        lines.append((number, line))
    return lines
