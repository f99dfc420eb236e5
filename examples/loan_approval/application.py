"""What is known of a loan when it is applied for."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

YesNo = Literal["yes", "no", "unknown"]


class Application(BaseModel):
    """An application of a small business for a loan that the US Small Business Administration guarantees in part."""

    model_config = ConfigDict(extra="forbid")

    amount_usd: float = Field(gt=0, description="Amount of the loan, in US dollars.")
    guaranteed_usd: float = Field(ge=0, description="The part of it that is guaranteed, in US dollars.")
    state: str = Field(max_length=2, description="State of the business, such as OH; empty if unknown.")
    bank: str = Field(max_length=80, description="Name of the bank; empty if unknown.")
    bank_state: str = Field(max_length=2, description="State of the bank; empty if unknown.")
    industry: str = Field(max_length=6, description="NAICS code; empty if unknown.")
    employees: int = Field(ge=0, description="Employees of the business.")
    jobs_created: int = Field(ge=0, description="Jobs that the loan is expected to create.")
    jobs_retained: int = Field(ge=0, description="Jobs that the loan is expected to keep.")
    is_new: YesNo = Field(description="Whether the business is at most two years old.")
    is_franchise: YesNo = Field(description="Whether the business is a franchise.")
    is_revolving: YesNo = Field(description="Whether the loan is a revolving line of credit.")
    is_low_doc: YesNo = Field(
        description="Whether the loan is of the LowDoc programme: below 150,000 dollars, one page."
    )


class Reason(BaseModel):
    """How much one fact of an application moved its decision, in log-odds of a default: above 0, towards it."""

    fact: str
    effect: float


class Decision(BaseModel):
    """The decision on one application, as it stands in the audit log."""

    id: str
    model: str
    probability: float = Field(description="Of a default, 0 to 1.")
    is_approved: bool
    reasons: list[Reason] = Field(description="The three facts that moved the decision most.")
    release: str | None = Field(description='The release that decided; "own" for the model of the service itself.')
    trace_id: str | None
