"""What the search space depends on: the machine, the model, and the data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SpaceFacts:
    """Facts of a study's machine, model and data.

    `runner_kind` is what the runner wraps: "torch", "onnx", "estimator" or "callable". `device` is the type of the
    torch device that holds the model's weights. `has_2d_convolutions` is true if a torch module has weights with four
    axes. `has_mask` is true if an input gives the lengths of the rows; `has_varying_axes` if another axis than the
    batch's varies. `choosing_samples` are the samples that may be calibrated on. `graph_ops` are the operator types of
    the float32 graph; empty if there is none. `has_openvino` is true if OpenVINO is installed. `without_graphs` says
    why a model cannot run by CUDA graphs; None if it can.
    """

    runner_kind: str
    cpu_flags: frozenset[str]
    device: str
    has_2d_convolutions: bool
    has_mask: bool
    has_varying_axes: bool
    choosing_samples: int
    graph_ops: frozenset[str]
    has_openvino: bool
    without_graphs: str | None

    @property
    def multiplies_signed(self) -> bool:
        """Whether the CPU's products of int8 have two signed factors, as ARM's; those of x86 have one unsigned."""
        return "asimddp" in self.cpu_flags

    @property
    def has_bf16(self) -> bool:
        """Whether the CPU computes in bf16; otherwise torch emulates it, slower than fp32."""
        return bool(self.cpu_flags & {"avx512_bf16", "amx_bf16", "bf16"})
