"""Executions of a model: precision, threads, and how a batch of rows of unequal length is run."""

from __future__ import annotations

from collections.abc import Iterable

from bento_monitor.serving_config import BackendName, Execution, Precision

PRECISIONS: tuple[tuple[BackendName, Precision], ...] = (
    ("onnxruntime", "fp32"),
    ("onnxruntime", "int8-dynamic-per-channel"),
    ("onnxruntime", "int8-dynamic-per-tensor"),
    ("torch", "fp32"),
    ("torch", "bf16"),
)
SUB_BATCH_SIZES: tuple[int, ...] = (1, 2, 4, 8)


def precisions_for(runner_kind: str, cpu_flags: frozenset[str]) -> list[tuple[BackendName, Precision]]:
    """Return the backends and precisions worth building for a runner on this CPU.

    An ONNX file has no torch module to run, and an estimator has no weights to quantize. bf16 is native only with
    AVX512-BF16 or AMX-BF16; without either, torch emulates bf16, slower than fp32.
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
    """Whether the precision computes with unchanged weights."""
    return precision == "fp32"


def thread_counts(cores: int) -> list[int]:
    """Return the powers of two up to the number of cores, and that number itself."""
    counts = {1 << shift for shift in range(cores.bit_length())} | {cores}
    return sorted(count for count in counts if count <= cores)


def executions(
    precisions: Iterable[tuple[BackendName, Precision]], cores: int, mask_input: str | None
) -> list[Execution]:
    """Return every execution of the given precisions worth a race on this many cores.

    Whole batches are tried with every thread count: one thread often beats two on a tiny model. Sub-batches are tried
    only if a mask gives the lengths of the rows. Their streams times threads equal the number of cores: fewer leave a
    core idle, and more make the threads wait for each other.
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


def typical_execution(backend: BackendName, precision: Precision, cores: int, mask_input: str | None) -> Execution:
    """Return the one execution with which precisions are compared before all their executions are raced."""
    if mask_input is None:
        return Execution(backend, precision, cores)
    return Execution(backend, precision, 1, sub_batch_size=2, mask_input=mask_input, streams=cores)
