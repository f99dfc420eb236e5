"""A TorchScript module or function as bytes: what `torch.jit.save` writes, except what differs between processes."""

from __future__ import annotations

import io
import pickletools
import re
import zipfile
from typing import Any

# torch numbers classes of the same name in loading order, so the number depends on what else the process has loaded.
_NUMBERED = re.compile(rb"[./]?___torch_mangle_\d+")
# torch iterates over a class's `__constants__` as a set of names, whose order differs in each process.
_CONSTANTS = re.compile(rb"(?:^ +\w+ : Final\[.*\n)+", re.MULTILINE)
_DEVICE = re.compile(r"(cpu|cuda(:\d+)?)")
_LEFT_OUT = ("/.data/", "/traced_inputs")


def archive_parts(script: Any) -> list[tuple[str, bytes]]:
    """Return the entries of the archive: code, constants, attributes and tensors; nothing is unpickled."""
    parts: list[tuple[str, bytes]] = []
    with zipfile.ZipFile(io.BytesIO(script.save_to_buffer())) as archive:
        for info in archive.infolist():
            if not info.filename.endswith(".debug_pkl") and not any(part in info.filename for part in _LEFT_OUT):
                name = "/".join(_plain(info.filename.encode()).decode().split("/")[1:])
                parts.append((name, _entry(info.filename, archive.read(info))))
    return [*sorted(parts), *_code_by_path(script)]


def _entry(name: str, data: bytes) -> bytes:
    if name.endswith(".pkl"):
        return b"\n".join(_pickle_operation(op.name, value) for op, value, _ in pickletools.genops(data))
    return _CONSTANTS.sub(_in_order, _plain(data)) if name.endswith(".py") else data


def _in_order(constants: re.Match[bytes]) -> bytes:
    return b"".join(sorted(constants[0].splitlines(keepends=True)))


def _pickle_operation(name: str, value: Any) -> bytes:
    if isinstance(value, str) and _DEVICE.fullmatch(value):
        value = "device"
    return _plain(f"{name} {value!r}".encode())


def _code_by_path(script: Any) -> list[tuple[str, bytes]]:
    """Return the code of each module's `forward` by its path, since only numbers distinguish classes of one name."""
    if not hasattr(script, "named_modules"):
        return [("function", _plain(script.code.encode()))]
    return [
        (f"code of {path}", _plain(module.code.encode()))
        for path, module in script.named_modules()
        if _has_code(module)
    ]


def _has_code(module: Any) -> bool:
    try:
        return isinstance(module.code, str)
    except (AttributeError, RuntimeError):  # a module without a forward
        return False


def _plain(text: bytes) -> bytes:
    return _NUMBERED.sub(b"", text)
