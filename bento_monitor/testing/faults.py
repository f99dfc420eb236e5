"""Faults that a receiver can simulate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault that is applied to every export; create it by one of the class methods.

    For a receiver that refuses connections, use `OtlpReceiver.stop_listening` instead.

    Examples:
        >>> Fault.answer(503, retry_after_s=2)
        Fault(kind='answer', delay_s=0.0, status=503, retry_after_s=2)
    """

    kind: Literal["hang", "slow", "answer", "reset"]
    delay_s: float = 0.0
    status: int = 200
    retry_after_s: int | None = None

    @classmethod
    def hang(cls) -> Fault:
        """Read the export and never answer."""
        return cls("hang")

    @classmethod
    def slow(cls, delay_s: float) -> Fault:
        """Accept the export, but answer after `delay_s`."""
        return cls("slow", delay_s=delay_s)

    @classmethod
    def answer(cls, status: int, *, retry_after_s: int | None = None) -> Fault:
        """Reject the export with an HTTP status; over gRPC, with the code that OTLP assigns to this status."""
        return cls("answer", status=status, retry_after_s=retry_after_s)

    @classmethod
    def reset(cls) -> Fault:
        """Reset the connection during the export; over gRPC, answer with the code UNAVAILABLE."""
        return cls("reset")
