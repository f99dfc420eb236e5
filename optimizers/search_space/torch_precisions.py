"""What torch can run: the module as it is, or with its weights in 16 bits, in the layout that convolutions prefer."""

from __future__ import annotations

from bento_monitor.serving_config import TorchPrecision

from .facts import SpaceFacts
from .recipe import Family, FamilySpace, Recipe, cut, only


def torch_space(facts: SpaceFacts) -> FamilySpace:
    """Return the families of the torch backend.

    Converted weights are faster than autocast, which converts them in every call; autocast runs modules whose code
    mixes types.
    """
    if facts.runner_kind != "torch":
        return cut("torch", f"the runner wraps no torch module (it wraps: {facts.runner_kind})")
    space = only(_family("fp32"))
    if facts.has_2d_convolutions:
        space += only(_family("fp32-channels-last"))
    else:
        space += cut("torch channels-last", "the model has no two-dimensional convolution")
    if facts.device == "cuda":
        space += only(_family("tf32")) + only(_halves("fp16-weights", facts)) + only(_halves("bf16-weights", facts))
        if facts.without_graphs is not None:
            space += cut("CUDA graphs", facts.without_graphs)
    elif facts.has_bf16:
        space += only(_halves("bf16-weights", facts)) + cut("torch fp16", "CPUs compute in bf16, not in fp16")
    else:
        space += cut("torch bf16", "this CPU has neither AVX512-BF16 nor AMX-BF16, so torch would emulate bf16")
    return space


def _halves(precision: TorchPrecision, facts: SpaceFacts) -> Family:
    autocast: tuple[TorchPrecision, ...] = ("bf16",) if precision == "bf16-weights" else ()
    if not facts.has_2d_convolutions:
        return _family(precision, *autocast)
    channels_last: TorchPrecision = (
        "bf16-weights-channels-last" if precision == "bf16-weights" else "fp16-weights-channels-last"
    )
    return _family(channels_last, precision, *autocast)


def _family(*precisions: TorchPrecision) -> Family:
    return Family(tuple(Recipe("torch", precision) for precision in precisions))
