"""Bounds of all fields of a release record, checked before the record is used.

A record is a file that a person can write. Without bounds, a batch size of 0 answers no request, a million threads take
1.5 GB, and a service named "../x" creates folders outside of the home.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Any, get_args
from urllib.parse import quote

from ..serving_config import BackendName, Batching, Execution, TorchPrecision, runs_file
from .release_record import OutputForm, OutputNode, Release, TensorSpec

_MAX_THREADS = 4096
_MAX_DEPTH = 32
_MAX_NAME = 200
_MAX_FOLDER_BYTES = 240
_MAX_APIS = 256
_MAX_TENSORS = 512
_MAX_AXES = 16
_MAX_LENGTH = 2**40
_MAX_EXAMPLE_ELEMENTS = 2**28
_MAX_BATCH_ROWS = 1_000_000
_MAX_WINDOW_MS = 60_000.0
_MAX_WORKERS = 4096
_MAX_STREAMS = 256
_MAX_CONSTANT = 1000
_MAX_INTEGER = 2**63
MAX_OUTPUT_DEPTH = 10  # each level takes two levels of JSON

# The tags that BentoML's model store accepts.
_TAG = re.compile(r"[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?:[A-Za-z0-9]([A-Za-z0-9._-]{0,126}[A-Za-z0-9])?")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_PRECISION = re.compile(r"[a-z0-9]{1,16}(-[a-z0-9.]{1,16}){0,11}")
_FINGERPRINT = re.compile(r"[a-z0-9]{1,16}:[0-9a-f]{64}")
_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,199}")
_RECORD_FILE = "release.json"
_INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
_FLOATS = ("float16", "bfloat16", "float32", "float64", "complex64", "complex128")
_DTYPES = frozenset(("bool", *_INTEGERS, *_FLOATS))
# Class labels may be text; only outputs of an estimator's methods are labels.
_METHOD_DTYPES = _DTYPES | {"str"}


def require_object(raw: Any) -> None:
    """Raise TypeError if decoded JSON is not an object."""
    if not isinstance(raw, dict):
        raise TypeError(f"it is a {type(raw).__name__}, not an object")


def require_shallow(raw: Any) -> None:
    """Raise ValueError if JSON is nested so deeply that later recursive code would exhaust the stack."""
    level = [raw]
    for _ in range(_MAX_DEPTH):
        level = [child for parent in level for child in _children(parent)]
        if not level:
            return
    raise ValueError("it is nested too deeply")


def _children(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def check_bounds(release: Release) -> None:
    """Raise ValueError for the first field out of bounds, with the value seen and the allowed values."""
    _require("name", release.name, "NAME:VERSION, a valid tag of BentoML's model store", _matches(_TAG, release.name))
    check_service_name(release.service)
    _check_apis(release.apis)
    _check_name("runner", release.runner)
    _check_execution(release.execution)
    if release.batching is not None:
        check_batching(release.batching)
    _check_optional_count("workers", release.workers, _MAX_WORKERS)
    _check_artifact(release)
    fingerprint = release.model_fingerprint
    _require(
        "model_fingerprint", fingerprint, "a fingerprint", fingerprint is None or _matches(_FINGERPRINT, fingerprint)
    )
    _check_specs("inputs", release.inputs, _DTYPES)
    _check_warm_up(release.inputs)
    has_methods = release.output_form.kind == "methods"
    _check_specs("outputs", release.outputs, _METHOD_DTYPES if has_methods else _DTYPES)
    _check_output_form(release.output_form, len(release.outputs))
    _require("evidence", type(release.evidence).__name__, "an object", isinstance(release.evidence, dict))


def check_service_name(name: Any) -> None:
    """Raise ValueError if the name of a service cannot be the name of its folder."""
    _check_name("service", name)
    is_folder = not set(name) & {"/", "\\"} and name.strip(".") != "" and len(quote(name)) <= _MAX_FOLDER_BYTES
    _require("service", name, "the name of a service, not a path", is_folder)


def check_batching(batching: Batching) -> None:
    """Raise ValueError if a dispatcher cannot use the batching."""
    _check_count("max_batch_size", batching.max_batch_size, _MAX_BATCH_ROWS)
    window: Any = batching.window_ms
    is_number = isinstance(window, int | float) and not isinstance(window, bool) and math.isfinite(window)
    _require("window_ms", window, f"between 0 and {_MAX_WINDOW_MS:g}", is_number and 0 <= window <= _MAX_WINDOW_MS)


def _check_apis(apis: Any) -> None:
    is_sane = 1 <= len(apis) <= _MAX_APIS and len(set(apis)) == len(apis)
    _require("apis", apis, f"1 to {_MAX_APIS} names, each once", is_sane)
    for api in apis:
        _check_name("apis", api)


def _check_execution(execution: Execution) -> None:
    _require(
        "backend", execution.backend, f"one of {get_args(BackendName)}", execution.backend in get_args(BackendName)
    )
    if execution.backend == "torch":
        precisions = get_args(TorchPrecision)
        _require("precision", execution.precision, f"one of {precisions}", execution.precision in precisions)
    else:
        is_label = _matches(_PRECISION, execution.precision)
        _require("precision", execution.precision, "short, in lower case, such as int8-static", is_label)
    _check_count("intra_op_threads", execution.intra_op_threads, _MAX_THREADS)
    _check_count("streams", execution.streams, _MAX_STREAMS)
    _require("allow_spinning", execution.allow_spinning, "true or false", isinstance(execution.allow_spinning, bool))
    has_graphs: Any = execution.cuda_graphs
    _require(
        "cuda_graphs",
        has_graphs,
        "true or false, and true only for torch",
        has_graphs is False or (has_graphs is True and execution.backend == "torch"),
    )
    _check_optional_count("sub_batch_size", execution.sub_batch_size, _MAX_BATCH_ROWS)
    if execution.mask_input is not None:
        _check_name("mask_input", execution.mask_input)


def _check_artifact(release: Release) -> None:
    name, sha256 = release.artifact_file, release.artifact_sha256
    has_file = runs_file(release.execution.backend)
    _require(
        "artifact_file", name, f"{'a' if has_file else 'no'} file, for this backend", (name is not None) == has_file
    )
    _require("artifact_sha256", sha256, "given exactly if artifact_file is given", (sha256 is None) == (name is None))
    if name is not None:
        is_plain = _matches(_FILE, name) and name != _RECORD_FILE
        _require("artifact_file", name, "the plain name of a file in the release's folder", is_plain)
        _require("artifact_sha256", sha256, "64 hexadecimal digits", _matches(_SHA256, sha256))


def _check_specs(field: str, specs: tuple[TensorSpec, ...], dtypes: frozenset[str]) -> None:
    _require(field, len(specs), f"at most {_MAX_TENSORS}", len(specs) <= _MAX_TENSORS)
    _require(field, [spec.name for spec in specs], "unique names", len({spec.name for spec in specs}) == len(specs))
    for spec in specs:
        where = f"{field}.{spec.name}"
        _check_name(field, spec.name)
        _require(f"{where}.dtype", spec.dtype, "an element type of numpy or torch", spec.dtype in dtypes)
        _require(f"{where}.shape", spec.shape, f"at most {_MAX_AXES} axes", len(spec.shape) <= _MAX_AXES)
        is_sized = all(length is None or _is_count(length, 0, _MAX_LENGTH) for length in spec.shape)
        _require(f"{where}.shape", spec.shape, "lengths, or null for an axis of varying length", is_sized)
        is_example = not spec.example or (
            len(spec.example) == len(spec.shape)
            and all(_is_count(length, 0, _MAX_LENGTH) for length in spec.example)
            and all(fixed in (None, seen) for fixed, seen in zip(spec.shape, spec.example, strict=True))
            and math.prod(spec.example) <= _MAX_EXAMPLE_ELEMENTS
        )
        _require(
            f"{where}.example",
            spec.example,
            f"a shape that matches it, with at most {_MAX_EXAMPLE_ELEMENTS} elements",
            is_example,
        )


def _check_warm_up(specs: tuple[TensorSpec, ...]) -> None:
    """Limit the warm-up inputs, which are created in a worker's memory."""
    shapes = [spec.example or tuple(1 if length is None else length for length in spec.shape) for spec in specs]
    elements = sum(math.prod(shape) for shape in shapes)
    _require("inputs", elements, f"at most {_MAX_EXAMPLE_ELEMENTS} elements in all", elements <= _MAX_EXAMPLE_ELEMENTS)


def _check_output_form(form: OutputForm, array_count: int) -> None:
    kinds = ("array", "tuple", "list", "mapping", "nested", "methods")
    arrays = ("torch", "numpy", "inputs")
    _require("output_form.kind", form.kind, f"one of {kinds}", form.kind in kinds)
    _require("output_form.arrays", form.arrays, f"one of {arrays}", form.arrays in arrays)
    if form.type_name is not None:
        _check_name("output_form.type_name", form.type_name)
    is_nested = form.kind == "nested"
    _require("output_form.root", form.root, "given exactly if the kind is nested", (form.root is not None) == is_nested)
    if form.root is not None:
        leaves = _check_node(form.root, MAX_OUTPUT_DEPTH)
        found = sum(leaf.kind in ("torch", "numpy") for leaf in leaves)
        _require(
            "output_form.root",
            found,
            f"a structure with one array for each of {array_count} outputs",
            found == array_count,
        )


def _check_node(node: OutputNode, depth: int) -> list[OutputNode]:
    """Check a nested output, and return its leaves."""
    field = "output_form.root"
    _require(field, "deeper", f"at most {MAX_OUTPUT_DEPTH} levels deep", depth > 0)
    leaf_kinds, container_kinds = ("torch", "numpy", "constant"), ("tuple", "list", "mapping", "dataclass")
    _require(
        f"{field}.kind",
        node.kind,
        f"one of {leaf_kinds + container_kinds}",
        node.kind in leaf_kinds + container_kinds,
    )
    _require(f"{field}.value", node.value, "a short constant", is_constant(node.value))
    if node.type_name is not None:
        _check_name(f"{field}.type_name", node.type_name)
    is_named = node.kind != "dataclass" or node.type_name is not None
    _require(f"{field}.type_name", node.type_name, "the class of a dataclass", is_named)
    has_keys = node.kind in ("mapping", "dataclass")
    _require(
        f"{field}.keys",
        node.keys,
        "one per item for a mapping or dataclass, otherwise none",
        len(node.keys) == (len(node.items) if has_keys else 0),
    )
    for key in node.keys:
        if not _is_count(key, -_MAX_LENGTH, _MAX_LENGTH):
            _check_name(f"{field}.keys", key)
    if node.kind in leaf_kinds:
        _require(f"{field}.items", len(node.items), f"0 for a {node.kind}", not node.items)
        return [node]
    _require(f"{field}.items", len(node.items), f"at most {_MAX_TENSORS}", len(node.items) <= _MAX_TENSORS)
    leaves = [leaf for item in node.items for leaf in _check_node(item, depth - 1)]
    _require(field, len(leaves), f"at most {_MAX_TENSORS} parts", len(leaves) <= _MAX_TENSORS)
    return leaves


def is_constant(value: Any) -> bool:
    """Return whether a part of an output that is not an array can be stored in a record as a constant."""
    if isinstance(value, str):
        return len(value) <= _MAX_CONSTANT
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, bool) or _is_count(value, -_MAX_INTEGER, _MAX_INTEGER)


def _check_name(field: str, name: Any) -> None:
    is_name = isinstance(name, str) and 0 < len(name) <= _MAX_NAME and name.isprintable()
    _require(field, name, f"a printable name of at most {_MAX_NAME} characters", is_name)


def _check_count(field: str, value: Any, most: int) -> None:
    _require(field, value, f"a whole number from 1 to {most}", _is_count(value, 1, most))


def _check_optional_count(field: str, value: Any, most: int) -> None:
    if value is not None:
        _check_count(field, value, most)


def _is_count(value: Any, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _matches(pattern: re.Pattern[str], value: Any) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def _require(field: str, value: Any, must_be: str, holds: bool) -> None:
    if not holds:
        raise ValueError(f"{field} is {value!r:.80}: it must be {must_be}")
