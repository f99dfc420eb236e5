"""Applications as numbers, by what the training loans show of banks, states and industries."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from application import Application

# Each fact is one or more features; a reason names the fact.
FACTS: dict[str, tuple[str, ...]] = {
    "amount": ("log_amount",),
    "guaranteed part": ("guaranteed_share", "log_guaranteed"),
    "bank": ("bank_rate", "bank_log_share"),
    "bank in another state": ("is_other_state",),
    "state": ("state_rate",),
    "industry": ("sector_rate", "industry_rate"),
    "employees": ("log_employees",),
    "jobs": ("log_jobs_created", "log_jobs_retained"),
    "new business": ("is_new",),
    "franchise": ("is_franchise",),
    "revolving credit": ("is_revolving",),
    "LowDoc programme": ("is_low_doc",),
}
FEATURES = tuple(feature for features in FACTS.values() for feature in features)
_SWITCHES = {"yes": 1.0, "no": 0.0, "unknown": 0.5}
# A category's rate counts as many loans of the average rate beside its own.
_PRIOR_LOANS = 200.0
_SECTOR_DIGITS = 2


@dataclass(frozen=True, slots=True)
class Encoding:
    """The number of training loans, and the share that was charged off: of all, by bank, state, sector and industry."""

    loans: int
    prior: float
    bank_rate: dict[str, float]
    bank_loans: dict[str, int]
    state_rate: dict[str, float]
    sector_rate: dict[str, float]
    industry_rate: dict[str, float]

    def encode(self, applications: Sequence[Application]) -> NDArray[np.float32]:
        """Return the features `(n, len(FEATURES))`."""
        return np.array([self._row(each) for each in applications], dtype=np.float32)

    def _row(self, each: Application) -> tuple[float, ...]:
        return (
            math.log1p(each.amount_usd),
            min(each.guaranteed_usd / each.amount_usd, 1.0),
            math.log1p(each.guaranteed_usd),
            self.bank_rate.get(each.bank, self.prior),
            math.log((self.bank_loans.get(each.bank, 0) + 1) / self.loans),
            float(each.bank_state != each.state),
            self.state_rate.get(each.state, self.prior),
            self.sector_rate.get(each.industry[:_SECTOR_DIGITS], self.prior),
            self.industry_rate.get(each.industry, self.prior),
            math.log1p(each.employees),
            math.log1p(each.jobs_created),
            math.log1p(each.jobs_retained),
            _SWITCHES[each.is_new],
            _SWITCHES[each.is_franchise],
            _SWITCHES[each.is_revolving],
            _SWITCHES[each.is_low_doc],
        )

    def save(self, path: Path) -> None:
        """Write the encoding as JSON."""
        path.write_text(json.dumps(asdict(self), sort_keys=True), encoding="utf-8")


def load_encoding(path: Path) -> Encoding:
    """Read what `Encoding.save` wrote."""
    return Encoding(**json.loads(path.read_text(encoding="utf-8")))


def fit_encoding(applications: Sequence[Application], is_default: NDArray[np.bool_]) -> Encoding:
    """Return the encoding of training loans `(n,)`, of which `is_default` were charged off."""
    prior = float(is_default.mean())

    def rates(keys: list[str]) -> dict[str, Any]:
        names, codes = np.unique(keys, return_inverse=True)
        loans = np.bincount(codes)
        defaults = np.bincount(codes, weights=is_default)
        smoothed = (defaults + _PRIOR_LOANS * prior) / (loans + _PRIOR_LOANS)
        return dict(zip(names.tolist(), np.round(smoothed, 6).tolist(), strict=True))

    banks = [each.bank for each in applications]
    names, loans = np.unique(banks, return_counts=True)
    return Encoding(
        loans=len(applications),
        prior=prior,
        bank_rate=rates(banks),
        bank_loans=dict(zip(names.tolist(), loans.tolist(), strict=True)),
        state_rate=rates([each.state for each in applications]),
        sector_rate=rates([each.industry[:_SECTOR_DIGITS] for each in applications]),
        industry_rate=rates([each.industry for each in applications]),
    )
