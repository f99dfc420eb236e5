"""Reading the samples and labels that a study measures accuracy on."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bento_monitor.model_host.records import SampleSource

from ..errors import StudyInputError
from .metrics import Metric

if TYPE_CHECKING:
    from numpy.typing import NDArray

LABELS_ARRAY = "labels"
_SAMPLE_KINDS = "biufUS"
_MIN_SAMPLES = 2
_READ_ERRORS = (OSError, ValueError, EOFError, zipfile.BadZipFile)


@dataclass(frozen=True, slots=True)
class EvaluationData:
    """Samples `(n, ...)`, a label for each, and where the samples were read from."""

    source: SampleSource
    samples: NDArray[Any]
    labels: NDArray[Any]


def load_data(path: Path, input_name: str, metric: Metric) -> EvaluationData:
    """Read a `.npz` file that has the API's input under its own name, and `labels`.

    Raises:
        StudyInputError: the file or an array in it cannot be used; the message says what must be there.
    """
    arrays = read_arrays(path)
    for name, what in ((input_name, "the samples, by the name of the API's parameter"), (LABELS_ARRAY, "the labels")):
        if name not in arrays:
            raise StudyInputError(f"{path} has the arrays {sorted(arrays)}: {name!r} is missing ({what}).")
    samples, labels = arrays[input_name], arrays[LABELS_ARRAY]
    _check_array(path, input_name, samples, _SAMPLE_KINDS)
    _check_array(path, LABELS_ARRAY, labels, metric.label_kinds, f" for the metric {metric.name}")
    if len(samples) != len(labels):
        raise StudyInputError(f"{path}: {len(samples)} samples in {input_name!r}, but {len(labels)} labels.")
    return EvaluationData(SampleSource(path.resolve(), input_name), samples, labels)


def read_arrays(path: Path) -> Mapping[str, NDArray[Any]]:
    """Every array of the file; none is ever unpickled."""
    import numpy as np

    if not path.is_file():
        raise StudyInputError(f"There is no data file {path}: give the path of a .npz file.")
    with path.open("rb") as file:  # numpy leaves a file open that it cannot read
        try:
            archive = np.load(file, allow_pickle=False)
        except _READ_ERRORS as error:
            raise StudyInputError(f"{path} is no .npz file that can be read: {error}.") from error
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise StudyInputError(f"{path} is one array without a name: write it with numpy.savez(path, name=array).")
        with archive:
            return {name: _read_array(path, archive, name) for name in archive.files}


def _read_array(path: Path, archive: Mapping[str, NDArray[Any]], name: str) -> NDArray[Any]:
    try:
        return archive[name]
    except _READ_ERRORS as error:
        raise StudyInputError(
            f"{path}: the array {name!r} cannot be read: {error}. Pickled (object) arrays are never loaded: "
            "save numbers, or texts as numpy.array(texts)."
        ) from error


def _check_array(path: Path, name: str, array: NDArray[Any], kinds: str, purpose: str = "") -> None:
    import numpy as np

    if array.dtype.kind not in kinds:
        raise StudyInputError(f"{path}: {name!r} has the type {array.dtype}, which cannot be used{purpose}.")
    if array.ndim == 0 or len(array) < _MIN_SAMPLES:
        raise StudyInputError(f"{path}: {name!r} has the shape {array.shape}; at least {_MIN_SAMPLES} are needed.")
    if array.size == 0:
        raise StudyInputError(f"{path}: {name!r} has the shape {array.shape}, so its samples are empty.")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        row = int(np.argwhere(~np.isfinite(array))[0][0])
        raise StudyInputError(f"{path}: {name!r} has a NaN or infinite number in row {row}.")
