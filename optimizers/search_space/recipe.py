"""A recipe: what a backend runs, and how its file is made; the accuracy of a candidate depends on nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bento_monitor.serving_config import BackendName, Precision

Kind = tuple[BackendName, Precision]
MATRIX_OPS = ("Gemm", "MatMul")
WEIGHTED_OPS = ("Conv", "ConvTranspose", *MATRIX_OPS)
CalibrationMethod = Literal["minmax", "moving-average", "percentile", "entropy"]


@dataclass(frozen=True, slots=True)
class DynamicInt8:
    """Weights in int8, activations quantized at run time, in operators of `op_types` (None: all that have kernels).

    `excluded` names nodes of the float32 graph that stay in float.
    """

    is_per_channel: bool
    op_types: tuple[str, ...] | None = None
    excluded: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StaticInt8:
    """Weights and activations in int8, by scales from calibration on `samples` samples of the user's data.

    Activations are unsigned, or signed with `is_signed`: as the CPU multiplies faster. `excluded` names nodes of the
    float32 graph that stay in float.
    """

    method: CalibrationMethod
    samples: int
    is_per_channel: bool = True
    is_signed: bool = False
    op_types: tuple[str, ...] | None = None
    excluded: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WeightOnly:
    """Weights of MatMul in `bits` bits, with a scale for each block of `block_size` weights; activations stay in float.

    `excluded` names nodes of the float32 graph that stay in float.
    """

    bits: int
    block_size: int
    excluded: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GroupedInt8:
    """Weights of MatMul and Gemm in int8; OpenVINO rounds the activations at run time, in groups of a row's numbers.

    The groups are as large as most of the products allow, or at most `largest_group`. An answer does not depend on the
    other rows of its batch. `excluded` names nodes of the float32 graph that stay in float.
    """

    largest_group: int | None = None
    excluded: tuple[str, ...] = ()


Quantization = DynamicInt8 | StaticInt8 | WeightOnly | GroupedInt8


@dataclass(frozen=True, slots=True)
class Recipe:
    """A backend, a precision that names everything else, and the quantization of the float32 file, if any.

    With `is_fused`, the float32 file has each attention of the model as one operator.
    """

    backend: BackendName
    precision: Precision
    quantization: Quantization | None = None
    is_fused: bool = False

    @property
    def kind(self) -> Kind:
        """The backend and the precision, which identify the recipe in a study."""
        return self.backend, self.precision


@dataclass(frozen=True, slots=True)
class Family:
    """Recipes of about the same speed, in the order in which they are tried until one is accurate enough."""

    rungs: tuple[Recipe, ...]

    @property
    def first(self) -> Recipe:
        """The recipe that is raced for the family."""
        return self.rungs[0]


@dataclass(frozen=True, slots=True)
class Cut:
    """A part of the space that is not tried, and why, in words."""

    what: str
    why: str


@dataclass(frozen=True, slots=True)
class FamilySpace:
    """The families worth building, and what was cut."""

    families: tuple[Family, ...] = ()
    cuts: tuple[Cut, ...] = ()

    def recipe(self, backend: BackendName, precision: Precision) -> Recipe:
        """Return the recipe of a backend and a precision."""
        return next(recipe for recipe in self.recipes if recipe.kind == (backend, precision))

    @property
    def recipes(self) -> list[Recipe]:
        """Every recipe of every family."""
        return [recipe for family in self.families for recipe in family.rungs]

    def __add__(self, other: FamilySpace) -> FamilySpace:
        return FamilySpace(self.families + other.families, self.cuts + other.cuts)


def only(family: Family) -> FamilySpace:
    """Return a space of one family."""
    return FamilySpace((family,))


def cut(what: str, why: str) -> FamilySpace:
    """Return a space from which something was cut."""
    return FamilySpace(cuts=(Cut(what, why),))
