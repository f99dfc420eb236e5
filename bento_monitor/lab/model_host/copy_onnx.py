"""A user's ONNX file as a release keeps it: one file, its external data within."""

from __future__ import annotations

import shutil
from pathlib import Path

from ...errors import ServiceError
from ...fingerprints.onnx_external import read_external_names

# What protobuf can hold in one file.
_MOST_BYTES = (1 << 31) - 1


def copy_onnx_file(source: Path, target: Path) -> None:
    """Copy the file; tensors that lie beside it are put into the copy.

    Raises:
        ServiceError: it would be larger than an ONNX file can be.
    """
    names = read_external_names(source)
    if not names:
        shutil.copyfile(source, target)
        return
    size = source.stat().st_size + sum((source.parent / name).stat().st_size for name in names)
    if size > _MOST_BYTES:
        raise ServiceError(
            f"The model {source.name} has {size / 1e9:.1f} GB with its external data, and one ONNX file holds 2.1 GB "
            "at most: no release can be made of it."
        )
    import onnx

    onnx.save_model(onnx.load(source), target, save_as_external_data=False)
