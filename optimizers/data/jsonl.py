"""A `.jsonl` file: on each line the body of a request, and its label.

A line holds `label` among the body's parameters, `{"text": "good", "label": 1}`, or separate from the body,
`{"request": {"text": "good"}, "label": 1}`. In the same way, `group` names the samples that belong together.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bento_monitor.lab.model_host.messages import ApiDescription

from ..errors import StudyInputError
from ._base import JSON, DataFile, EvaluationData, check_count, groups_array, labels_array

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LABEL, _REQUEST, _GROUP = "label", "request", "group"


def read_jsonl(path: Path) -> DataFile:
    """Read every line.

    Raises:
        StudyInputError: a line is not a JSON object, or only some lines have a label.
    """
    lines = _read_lines(path)
    check_count(path, len(lines))
    labeled = [line for _, line in lines if _LABEL in line]
    if labeled and len(labeled) < len(lines):
        number = next(number for number, line in lines if _LABEL not in line)
        raise StudyInputError(
            f"{path}, line {number} has no {_LABEL!r}, but other lines have one: label all lines, or none."
        )
    labels = labels_array(path, [line[_LABEL] for line in labeled]) if labeled else None
    add = f"give each line a {_LABEL!r}"
    return DataFile(path, add, labels, partial(_requests_for, path, lines, labels))


def _requests_for(
    path: Path, lines: Sequence[tuple[int, Mapping[str, Any]]], labels: NDArray[Any] | None, api: ApiDescription
) -> Sequence[EvaluationData]:
    names = {parameter.name for parameter in api.parameters}
    groups = None if _GROUP in names else _groups(path, lines)
    left_out = {_LABEL} if groups is None else {_LABEL, _GROUP}
    bodies = []
    for number, line in lines:
        if _REQUEST in line and _REQUEST not in names:
            body = line[_REQUEST]
        elif _LABEL in names:
            raise StudyInputError(
                f"{path}, line {number}: the API {api.name} has a parameter 'label', so write the request body "
                'separately: {"request": {...}, "label": ...}.'
            )
        else:
            body = {name: value for name, value in line.items() if name not in left_out}
        bodies.append(json.dumps(body).encode())
    return [EvaluationData(tuple(bodies), JSON, labels, "each line's body unchanged", groups)]


def _groups(path: Path, lines: Sequence[tuple[int, Mapping[str, Any]]]) -> NDArray[Any] | None:
    missing = [number for number, line in lines if _GROUP not in line]
    if len(missing) == len(lines):
        return None
    if missing:
        raise StudyInputError(
            f"{path}, line {missing[0]} has no {_GROUP!r}, but other lines have one: give each line a group, or none."
        )
    return groups_array(path, [line[_GROUP] for _, line in lines])


def _read_lines(path: Path) -> list[tuple[int, Mapping[str, Any]]]:
    lines: list[tuple[int, Mapping[str, Any]]] = []
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise StudyInputError(f"{path} cannot be read: {error}.") from error
    for number, raw in enumerate(text.split("\n"), 1):
        if not raw.strip():
            continue
        try:
            line = json.loads(raw)
        except ValueError as error:
            raise StudyInputError(f"{path}, line {number} is not JSON: {error}.") from error
        except RecursionError as error:
            raise StudyInputError(f"{path}, line {number} is nested too deeply to be read.") from error
        if not isinstance(line, dict):
            raise StudyInputError(
                f"{path}, line {number} is not a JSON object: write the request body and its label, such as "
                '{"text": "a", "label": 1}.'
            )
        lines.append((number, line))
    return lines
