"""A folder of files with `labels.csv`, whose columns are `file` and `label`: each file is sent as a multipart field.

Columns named like other parameters of the API are sent as fields of the same form. A column `group` that is not such a
parameter names the samples that belong together.
"""

from __future__ import annotations

import csv
import mimetypes
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bento_monitor.lab.model_host.messages import ApiDescription

from ..errors import StudyInputError
from ._base import DataFile, EvaluationData, check_count, groups_array, labels_array

if TYPE_CHECKING:
    from numpy.typing import NDArray

LABELS_FILE = "labels.csv"
_FILE, _LABEL, _GROUP = "file", "label", "group"
_BOUNDARY = b"bento-monitor-6d1f0e1c9a754c0db0c1"
_DEFAULT_CONTENT_TYPE = "application/octet-stream"


def read_folder(path: Path) -> DataFile:
    """Read `labels.csv`; the files themselves are read when the requests are built.

    Raises:
        StudyInputError: `labels.csv` is missing or has other columns, or a file that it names does not exist.
    """
    rows = _read_rows(path / LABELS_FILE)
    check_count(path, len(rows))
    for number, row in enumerate(rows, 2):
        if not _is_inside(path, row[_FILE]):
            raise StudyInputError(
                f"{path / LABELS_FILE}, line {number}: the file {row[_FILE]!r} does not exist in {path}."
            )
        if not row.get(_LABEL, "-").strip():
            raise StudyInputError(
                f"{path / LABELS_FILE}, line {number} has no label: label every file, or remove the column 'label'."
            )
    labels = labels_array(path, _numbers_or_texts([row[_LABEL] for row in rows])) if _LABEL in rows[0] else None
    add = f"add a column {_LABEL!r} to {LABELS_FILE}"
    return DataFile(path, add, labels, partial(_requests_for, path, rows, labels))


def _requests_for(
    path: Path, rows: Sequence[Mapping[str, str]], labels: NDArray[Any] | None, api: ApiDescription
) -> Sequence[EvaluationData]:
    fields = [parameter.name for parameter in api.parameters if parameter.is_file]
    required = [parameter.name for parameter in api.parameters if parameter.is_file and parameter.is_required]
    chosen = required if len(required) == 1 else fields
    if len(chosen) != 1 or api.takes_whole_body:
        files = (
            "no file" if not fields else f"the files {', '.join(fields)}" if len(fields) > 1 else "a file as its body"
        )
        raise StudyInputError(
            f"The API {api.name} takes {files}, and the folder {path} can only be sent to an API with a single file as "
            "a named parameter: give a .npz file of arrays, or a .jsonl file of request bodies."
        )
    others = [parameter.name for parameter in api.parameters if parameter.name in rows[0] and not parameter.is_file]
    bodies = []
    for row in rows:
        parts = [_file_part(path / row[_FILE], chosen[0]), *(_text_part(name, row[name]) for name in others)]
        if any(_BOUNDARY in part for part in parts):
            raise StudyInputError(
                f"{path / row[_FILE]} contains the multipart boundary {_BOUNDARY!r}, so it cannot be sent in a form: "
                "remove the file."
            )
        joined = b"".join(b"--" + _BOUNDARY + b"\r\n" + part + b"\r\n" for part in parts)
        bodies.append(joined + b"--" + _BOUNDARY + b"--\r\n")
    content_type = f"multipart/form-data; boundary={_BOUNDARY.decode()}"
    form = f"each file as the field {chosen[0]} of a form"
    has_groups = _GROUP in rows[0] and _GROUP not in others
    groups = groups_array(path, [row[_GROUP] for row in rows]) if has_groups else None
    return [EvaluationData(tuple(bodies), content_type, labels, form, groups)]


def _file_part(path: Path, field: str) -> bytes:
    kind = mimetypes.guess_type(path.name)[0] or _DEFAULT_CONTENT_TYPE
    name = path.name.replace("\\", "\\\\").replace('"', '\\"')
    head = f'Content-Disposition: form-data; name="{field}"; filename="{name}"\r\nContent-Type: {kind}\r\n\r\n'
    try:
        return head.encode() + path.read_bytes()
    except OSError as error:
        raise StudyInputError(f"{path} cannot be read: {error}.") from error


def _text_part(field: str, text: str) -> bytes:
    return f'Content-Disposition: form-data; name="{field}"\r\n\r\n{text}'.encode()


def _read_rows(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restkey="", restval="")
            rows = list(reader)
            columns = reader.fieldnames or []
    except FileNotFoundError as error:
        raise StudyInputError(f"{path} does not exist: create it with the columns file,label.") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise StudyInputError(f"{path} cannot be read: {error}.") from error
    if _FILE not in columns:
        raise StudyInputError(f"{path} has the columns {', '.join(columns) or 'none'}: rename them to file,label.")
    return rows


def _is_inside(folder: Path, name: str) -> bool:
    parts = Path(name).parts
    return bool(parts) and ".." not in parts and not Path(name).is_absolute() and (folder / name).is_file()


def _numbers_or_texts(values: Sequence[str]) -> list[Any]:
    """Return labels as numbers if that loses nothing; labels such as 007 stay texts."""
    with suppress(ValueError):
        numbers = [int(value) for value in values]
        if [str(number) for number in numbers] == [value.strip() for value in values]:
            return numbers
        return list(values)
    with suppress(ValueError):
        return [float(value) for value in values]
    return list(values)
