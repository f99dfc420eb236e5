"""Executions of a model: precision, threads, and how a batch of unequal lengths is run."""

from __future__ import annotations

from collections.abc import Iterable

from bento_monitor.serving_config import Backend, Execution, Precision

PRECISIONS: tuple[tuple[Backend, Precision], ...] = (
    ("onnxruntime", "fp32"),
    ("onnxruntime", "int8-dynamic-per-channel"),
    ("onnxruntime", "int8-dynamic-per-tensor"),
    ("torch", "fp32"),
    ("torch", "bf16"),
)
SUB_BATCH_SIZES: tuple[int, ...] = (1, 2, 4, 8)


def precisions_for(runner_kind: str, cpu_flags: frozenset[str]) -> list[tuple[Backend, Precision]]:
    """The backends and precisions worth building for a runner on this CPU.

    An ONNX file has no torch module to run, and an estimator no weights that could be quantised. bf16 is only native
    with AVX512-BF16 or AMX-BF16: without either torch emulates it, slower than
    fp32.
    """
    has_bf16 = bool(cpu_flags & {"avx512_bf16", "amx_bf16"})
    return [
        (backend, precision)
        for backend, precision in PRECISIONS
        if (backend != "torch" or runner_kind == "torch")
        and (precision == "fp32" or runner_kind != "estimator")
        and (precision != "bf16" or has_bf16)
    ]


def is_exact(precision: Precision) -> bool:
    """Whether it computes with the weights as they are."""
    return precision == "fp32"


def thread_counts(cores: int) -> list[int]:
    """Powers of two up to the cores, and the cores themselves."""
    counts = {1 << shift for shift in range(cores.bit_length())} | {cores}
    return sorted(count for count in counts if count <= cores)


def executions(precisions: Iterable[tuple[Backend, Precision]], cores: int, mask_input: str | None) -> list[Execution]:
    """Every execution of the given precisions worth a race on this many cores.

    A batch run whole tries every number of threads: one often beats two on a tiny model. Parts are only cut where a
    mask gives the lengths of the rows; their streams times threads fill the cores, since what leaves one idle is slower
    and what asks for more makes them wait for each other.
    """
    counts = thread_counts(cores)
    found = []
    for backend, precision in precisions:
        found += [Execution(backend, precision, threads) for threads in counts]
        if mask_input is not None:
            found += [
                Execution(
                    backend,
                    precision,
                    threads,
                    sub_batch_size=size,
                    mask_input=mask_input,
                    streams=cores // threads,
                )
                for threads in counts
                for size in SUB_BATCH_SIZES
            ]
    return found


def typical_execution(backend: Backend, precision: Precision, cores: int, mask_input: str | None) -> Execution:
    """The execution by which precisions are compared before all of theirs are."""
    if mask_input is None:
        return Execution(backend, precision, cores)
    return Execution(backend, precision, 1, sub_batch_size=2, mask_input=mask_input, streams=cores)
