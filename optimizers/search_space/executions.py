"""Executions of a precision: threads, and how a batch of rows of unequal length is run."""

from __future__ import annotations

from collections.abc import Iterable

from bento_monitor.serving_config import BackendName, Execution, Precision

from .choices import ALL, SpaceChoices
from .recipe import Kind

SUB_BATCH_SIZES: tuple[int, ...] = (1, 2, 4, 8)
PLAIN_SUB_BATCH_SIZES: tuple[int, ...] = (4, 8, 16)  # smaller ones cost more in calls than a second core gives
CUDA_GRAPHS: tuple[bool, ...] = (True, False)
GRAPH_SUB_BATCH_SIZES: tuple[int, ...] = (32, 64, 128)  # smaller ones leave most of a GPU idle


def thread_counts(cores: int) -> list[int]:
    """Return the powers of two up to the number of cores, and that number itself."""
    counts = {1 << shift for shift in range(cores.bit_length())} | {cores}
    return sorted(count for count in counts if count <= cores)


def executions(
    precisions: Iterable[Kind],
    cores: int,
    mask_input: str | None,
    *,
    has_separate_rows: bool,
    has_graphs: bool = False,
    choices: SpaceChoices = ALL,
) -> list[Execution]:
    """Return every execution of the given precisions worth a race on this many cores.

    Whole batches are tried with every thread count: one thread often beats two on a tiny model. Several threads of
    onnxruntime are also tried spinning, that is, waiting for work on the core instead of asleep. Sub-batches are tried
    if a mask gives the lengths of the rows, or if the model takes and returns separate rows; in the second case only
    several at once, since there is no padding to save. Their streams times threads equal the number of cores: fewer
    leave a core idle, and more make the threads wait for each other. A model with CUDA graphs is bound by its GPU: it
    runs with and without them on all threads, and sorted by its mask in sub-batches large enough for a GPU. `choices`
    replace the thread counts and the sizes.
    """
    chosen, found = choices.sub_batch_size, []
    for backend, precision in precisions:
        if has_graphs and backend == "torch":
            found += _on_gpu(precision, cores, mask_input, choices)
            continue
        for threads in choices.threads or thread_counts(cores):
            streams = max(1, cores // threads)
            sizes = _part_sizes(mask_input, has_separate_rows=has_separate_rows, streams=streams)
            if chosen:
                sizes = tuple(size for size in chosen if size) if sizes else ()
            if not chosen or 0 in chosen:
                found.append(Execution(backend, precision, threads))
                if backend == "onnxruntime" and threads > 1:
                    found.append(Execution(backend, precision, threads, allow_spinning=True))
            found += [
                Execution(backend, precision, threads, sub_batch_size=size, mask_input=mask_input, streams=streams)
                for size in sizes
            ]
    return found


def _part_sizes(mask_input: str | None, *, has_separate_rows: bool, streams: int) -> tuple[int, ...]:
    if mask_input is not None:
        return SUB_BATCH_SIZES
    return PLAIN_SUB_BATCH_SIZES if has_separate_rows and streams > 1 else ()


def _on_gpu(precision: Precision, cores: int, mask_input: str | None, choices: SpaceChoices) -> list[Execution]:
    sizes = choices.sub_batch_size or (0, *(GRAPH_SUB_BATCH_SIZES if mask_input is not None else ()))
    by_graphs = choices.cuda_graphs or CUDA_GRAPHS
    found = [Execution("torch", precision, cores)] if False in by_graphs and 0 in sizes else []
    if True not in by_graphs:
        return found
    return found + [
        Execution("torch", precision, cores, sub_batch_size=size or None, mask_input=mask_input, cuda_graphs=True)
        for size in sizes
        if size == 0 or mask_input is not None
    ]


def typical_executions(
    backend: BackendName, precision: Precision, cores: int, mask_input: str | None, *, has_graphs: bool = False
) -> tuple[Execution, ...]:
    """Return the executions with which precisions are compared before all their executions are raced.

    Of a model with a mask, a batch both whole and in sorted sub-batches: these save the work on padding, but a backend
    that prepares itself for each shape, as OpenVINO does, loses more.
    """
    if has_graphs and backend == "torch":
        return (Execution(backend, precision, cores, mask_input=mask_input, cuda_graphs=True),)
    whole = Execution(backend, precision, cores)
    if mask_input is None:
        return (whole,)
    return (Execution(backend, precision, 1, sub_batch_size=2, mask_input=mask_input, streams=cores), whole)
