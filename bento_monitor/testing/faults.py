"""What a receiver does wrong on purpose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to treat every export: made by one of the class methods.

    That nobody listens at all is no fault but `OtlpReceiver.stop_listening`.
    """

    kind: Literal["hang", "slow", "answer", "reset"]
    delay_s: float = 0.0
    status: int = 200
    retry_after_s: int | None = None

    @classmethod
    def hang(cls) -> Fault:
        """Take the export and never answer."""
        return cls("hang")

    @classmethod
    def slow(cls, delay_s: float) -> Fault:
        """Take the export, and say so after `delay_s`."""
        return cls("slow", delay_s=delay_s)

    @classmethod
    def answer(cls, status: int, *, retry_after_s: int | None = None) -> Fault:
        """Refuse the export with an HTTP status, which over gRPC is the code that OTLP gives for it."""
        return cls("answer", status=status, retry_after_s=retry_after_s)

    @classmethod
    def reset(cls) -> Fault:
        """Reset the connection amid the export; over gRPC it is the code UNAVAILABLE."""
        return cls("reset")
