"""A `.npz` file: an array for each parameter of the API, one row per sample, and `labels`; perhaps `groups`."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bento_monitor.lab.model_host.messages import ApiDescription, ParameterDescription

from ..errors import StudyInputError
from ._base import JSON, DataFile, EvaluationData, check_count, check_finite, groups_array

if TYPE_CHECKING:
    from numpy.typing import NDArray

LABELS_ARRAY, GROUPS_ARRAY = "labels", "groups"
_KINDS = "biufUS"
_READ_ERRORS = (OSError, ValueError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error)
_ZIP, _NPY, _PICKLE = b"PK", b"\x93NUMPY", b"\x80"
_PLAIN_TYPES = frozenset({"string", "number", "integer", "boolean"})
_MAX_BYTES = 2 * 2**30


def read_npz(path: Path) -> DataFile:
    """Read every array of the file; nothing is ever unpickled.

    Raises:
        StudyInputError: the file or an array in it cannot be used; the message says what is required.
    """
    arrays = dict(_read_arrays(path))
    labels = arrays.pop(LABELS_ARRAY, None)
    if labels is not None:
        labels = _checked(path, LABELS_ARRAY, labels)
    samples = {name: _checked(path, name, array) for name, array in arrays.items()}
    add = f"add an array {LABELS_ARRAY!r} to its arrays {', '.join(map(repr, samples)) or '(none)'}"
    return DataFile(path, add, labels, partial(_requests_for, path, samples, labels))


def _requests_for(
    path: Path, arrays: Mapping[str, NDArray[Any]], labels: NDArray[Any] | None, api: ApiDescription
) -> Sequence[EvaluationData]:
    groups = None if GROUPS_ARRAY in {each.name for each in api.parameters} else arrays.get(GROUPS_ARRAY)
    if groups is not None:
        arrays = {name: array for name, array in arrays.items() if name != GROUPS_ARRAY}
        groups = groups_array(path, groups.tolist())
    chosen = _arrays_of(path, arrays, api)
    counts = {name: len(array) for name, array in chosen.items()}
    for name, array in ((LABELS_ARRAY, labels), (GROUPS_ARRAY, groups)):
        if array is not None:
            counts[name] = len(array)
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{count} in {name!r}" for name, count in counts.items())
        raise StudyInputError(f"{path}: all arrays must have the same number of rows, but there are {listed}.")
    parameters = {parameter.name: parameter for parameter in api.parameters}
    # It is unknown whether such a parameter takes one sample or a batch of samples: both are tried.
    is_ambiguous = not api.is_batchable and any(parameters[name].type not in _PLAIN_TYPES for name in chosen)
    forms = [False, True] if is_ambiguous else [False]
    return [
        replace(_requests(path, chosen, labels, api, parameters, is_unbatched=is_unbatched), groups=groups)
        for is_unbatched in forms
    ]


def _arrays_of(path: Path, arrays: Mapping[str, NDArray[Any]], api: ApiDescription) -> dict[str, NDArray[Any]]:
    """Return the array of each parameter."""
    names = [parameter.name for parameter in api.parameters]
    files = [parameter.name for parameter in api.parameters if parameter.is_file and parameter.is_required]
    if files:
        raise StudyInputError(
            f"The API {api.name} takes a file as {files[0]!r}, and an array cannot be sent as a file: give a folder of "
            "files with a labels.csv of the columns file,label."
        )
    if names == ["root"] and "root" not in arrays and len(arrays) == 1:
        return {"root": next(iter(arrays.values()))}
    for parameter in api.parameters:
        if parameter.is_required and parameter.name not in arrays:
            raise StudyInputError(
                f"{path} has the arrays {sorted([*arrays, LABELS_ARRAY])}: {parameter.name!r} is missing; name the "
                "array of the samples after the API's parameter."
            )
    found = {name: arrays[name] for name in names if name in arrays}
    if not found:
        takes = (
            f"takes {', '.join(names)}, none of which is in {path}" if names else "takes no input to send samples as"
        )
        raise StudyInputError(f"The API {api.name} {takes}: optimize an API whose parameters are in your data.")
    return found


def _requests(
    path: Path,
    arrays: Mapping[str, NDArray[Any]],
    labels: NDArray[Any] | None,
    api: ApiDescription,
    parameters: Mapping[str, ParameterDescription],
    *,
    is_unbatched: bool,
) -> EvaluationData:
    count = len(next(iter(arrays.values())))
    first = len(_body(arrays, 0, api, parameters, is_unbatched=is_unbatched))
    if first * count > _MAX_BYTES:
        raise StudyInputError(
            f"{path}: {count} requests of {first} bytes would take {first * count / 2**30:.1f} GiB as JSON: give fewer "
            f"samples, at most {_MAX_BYTES // first}."
        )
    bodies = tuple(_body(arrays, row, api, parameters, is_unbatched=is_unbatched) for row in range(count))
    form = "each sample without a batch axis" if is_unbatched else "each sample as a batch of one"
    return EvaluationData(bodies, JSON, labels, form)


def _body(
    arrays: Mapping[str, NDArray[Any]],
    row: int,
    api: ApiDescription,
    parameters: Mapping[str, ParameterDescription],
    *,
    is_unbatched: bool,
) -> bytes:
    values = {}
    for name, array in arrays.items():
        value = array[row].tolist()
        parameter = parameters[name]
        if parameter.type == "dataframe":
            value = _record(value, parameter)
        is_plain = is_unbatched or (not api.is_batchable and parameter.type in _PLAIN_TYPES)
        values[name] = value if is_plain else [value]
    return json.dumps(values["root"] if list(values) == ["root"] else values).encode()


def _record(value: Any, parameter: ParameterDescription) -> Any:
    if not isinstance(value, list) or len(value) != len(parameter.columns):
        raise StudyInputError(
            f"The parameter {parameter.name!r} is a data frame, and the names of the array's columns are unknown: give "
            'a .jsonl file of request bodies, such as {"' + parameter.name + '": [{"column": 1}], "label": 0}.'
        )
    return dict(zip(parameter.columns, value, strict=True))


def _checked(path: Path, name: str, array: NDArray[Any]) -> NDArray[Any]:
    if array.dtype.kind not in _KINDS:
        raise StudyInputError(
            f"{path}: {name!r} has the type {array.dtype}, which is not supported: give numbers, booleans or texts."
        )
    if array.ndim == 0:
        raise StudyInputError(f"{path}: {name!r} is a single value: give an array with one row per sample.")
    check_count(path, len(array))
    if array.size == 0:
        raise StudyInputError(f"{path}: {name!r} has the shape {array.shape}, so its samples are empty: add values.")
    check_finite(path, name, array)
    return _decoded(path, name, array) if array.dtype.kind == "S" else array


def _decoded(path: Path, name: str, array: NDArray[Any]) -> NDArray[Any]:
    import numpy as np

    try:
        return np.char.decode(array, "utf-8")
    except UnicodeDecodeError as error:
        raise StudyInputError(f"{path}: {name!r} holds bytes that are not UTF-8 text: {error}.") from error


def _read_arrays(path: Path) -> Mapping[str, NDArray[Any]]:
    import numpy as np

    _require_archive(path)
    with path.open("rb") as file:  # numpy does not close a file that it cannot read
        try:
            archive = np.load(file, allow_pickle=False)
        except _READ_ERRORS as error:
            raise StudyInputError(
                f"{path} cannot be read as a .npz file ({error}): it may be truncated, so write or copy it again."
            ) from error
        with archive:
            return {name: _read_array(path, archive, name) for name in archive.files}


def _require_archive(path: Path) -> None:
    """Raise StudyInputError, with advice, for a file that numpy would read as a pickle or as a single array."""
    try:
        with path.open("rb") as file:
            start = file.read(len(_NPY))
    except OSError as error:
        raise StudyInputError(f"{path} cannot be read: {error.strerror}.") from error
    if start.startswith(_ZIP):
        return
    if start == _NPY:
        raise StudyInputError(f"{path} is a single array without a name: write it with numpy.savez(path, name=array).")
    fault = (
        "is empty"
        if not start
        else "is a pickle, which is never loaded"
        if start[:1] == _PICKLE
        else "is not a .npz file"
    )
    raise StudyInputError(
        f"{path} {fault}: write the samples with numpy.savez(path, name=samples, labels=labels), or give a .jsonl file "
        "or a folder of files with labels.csv."
    )


def _read_array(path: Path, archive: Mapping[str, NDArray[Any]], name: str) -> NDArray[Any]:
    try:
        return archive[name]
    except _READ_ERRORS as error:
        if "pickle" in str(error):  # numpy's message names allow_pickle, which would run code from the file
            raise StudyInputError(
                f"{path}: the array {name!r} holds Python objects, which are never loaded: save numbers, or texts as "
                "numpy.array(texts)."
            ) from error
        raise StudyInputError(
            f"{path}: the array {name!r} cannot be read ({error}): the file is damaged, so write or copy it again."
        ) from error
