"""Copy of a user's ONNX file for a release: one file that contains its external data."""

from __future__ import annotations

import shutil
from pathlib import Path

from ...errors import ServiceError
from ...fingerprints.onnx_external import read_external_names

# The size limit of a protobuf file.
_MAX_BYTES = (1 << 31) - 1


def copy_onnx_file(source: Path, target: Path) -> None:
    """Copy the file, with its external tensors in the copy.

    Raises:
        ServiceError: the copy would be larger than an ONNX file can be.
    """
    names = read_external_names(source)
    if not names:
        shutil.copyfile(source, target)
        return
    size = source.stat().st_size + sum((source.parent / name).stat().st_size for name in names)
    if size > _MAX_BYTES:
        raise ServiceError(
            f"The model {source.name} has {size / 1e9:.1f} GB with its external data, and an ONNX file holds at most "
            "2.1 GB: no release can be made of it."
        )
    import onnx

    onnx.save_model(onnx.load(source), target, save_as_external_data=False)
