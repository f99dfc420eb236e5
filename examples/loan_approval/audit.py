"""The audit log of decisions, and `python audit.py show ID`, which reproduces one of them.

`audit.jsonl` has a line for each decision, `inputs.jsonl` (readable by its owner alone) the application. Both are only
appended to, and a batch's lines are with the operating system before its decisions are answered: they survive the
death of the server, though not that of the machine.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from application import Application, Decision
from model import FILES

AUDIT, INPUTS = "audit.jsonl", "inputs.jsonl"
# The sums of a batch have another order than those of a loan alone.
TOLERANCE = 1e-3


class AuditLog:
    """Two files that are only appended to; every worker process of a server has its own instance."""

    def __init__(self, folder: Path | None = None) -> None:
        """Open the files in `folder`, by default that of the variable AUDIT_DIR, or else `audit` beside the weights."""
        folder = folder or audit_folder()
        folder.mkdir(parents=True, exist_ok=True)
        self._audit = _open(folder / AUDIT, 0o640)
        self._inputs = _open(folder / INPUTS, 0o600)

    def append(self, decisions: Sequence[Decision], applications: Sequence[Application]) -> None:
        """Write decisions and their applications. The applications come first: no decision is without its input."""
        now_s = round(time.time(), 3)
        pairs = zip(decisions, applications, strict=True)
        _write(self._inputs, [{"id": decision.id, "application": each.model_dump()} for decision, each in pairs])
        _write(self._audit, [{"decided_at_s": now_s, **decision.model_dump()} for decision in decisions])


def audit_folder() -> Path:
    """Return the folder of the audit log."""
    return Path(os.environ.get("AUDIT_DIR") or FILES / "audit")


def find(folder: Path, name: str, decision: str) -> dict[str, Any] | None:
    """Return the line of a decision in one of the files; None if there is none. A torn line is passed over."""
    with (folder / name).open(encoding="utf-8") as file:
        for line in file:
            if decision in line and line.endswith("\n"):
                row: dict[str, Any] = json.loads(line)
                if row["id"] == decision:
                    return row
    return None


def show(folder: Path, decision_id: str) -> int:
    """Print a decision and reproduce it from its application; return 0 if both agree."""
    from deciding import reproduce

    written, inputs = find(folder, AUDIT, decision_id), find(folder, INPUTS, decision_id)
    if written is None or inputs is None:
        print(f"{folder} has no decision {decision_id}.", file=sys.stderr)
        return 2
    moment = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(written.pop("decided_at_s")))
    decision = Decision(**written)
    again = reproduce(decision, Application(**inputs["application"]))
    print(f"Decision {decision.id} of {moment}: {'approved' if decision.is_approved else 'declined'}")
    print(f"  by {decision.model}, release {decision.release}, trace {decision.trace_id}")
    print(f"  probability of a default  written {decision.probability:.6f}  reproduced {again.probability:.6f}")
    for left, right in zip(decision.reasons, again.reasons, strict=True):
        print(f"  {left.fact:<24}  written {left.effect:+.4f}    reproduced {right.fact} {right.effect:+.4f}")
    for name, value in inputs["application"].items():
        print(f"    {name} = {value}")
    same = is_same(decision, again)
    print("The decision was reproduced." if same else "THE DECISION WAS NOT REPRODUCED.")
    return 0 if same else 1


def is_same(left: Decision, right: Decision) -> bool:
    """Whether two decisions on one application agree, up to the order of sums."""
    is_close = abs(left.probability - right.probability) <= TOLERANCE
    again = {reason.fact: reason.effect for reason in right.reasons}
    have_reasons = all(
        abs(reason.effect - again.get(reason.fact, float("inf"))) <= 10 * TOLERANCE for reason in left.reasons
    )
    return is_close and left.is_approved == right.is_approved and have_reasons


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description="Show a decision of the audit log, and reproduce it.")
    commands = parser.add_subparsers(required=True, dest="command")
    shown = commands.add_parser("show", help="Show and reproduce one decision.")
    shown.add_argument("id")
    parser.add_argument("--folder", type=Path, default=audit_folder())
    arguments = parser.parse_args()
    if not (arguments.folder / AUDIT).is_file():
        print(f"{arguments.folder} has no audit log: give its folder by --folder or AUDIT_DIR.", file=sys.stderr)
        return 2
    return show(arguments.folder, arguments.id)


def _open(path: Path, mode: int) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, mode)


def _write(descriptor: int, rows: Sequence[dict[str, Any]]) -> None:
    """Append the rows by one system call, so that lines of several processes do not mix."""
    data = "".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows).encode()
    written = os.write(descriptor, data)
    if written != len(data):
        raise OSError(f"Only {written} of {len(data)} bytes of the audit log could be written: is the disk full?")


if __name__ == "__main__":
    sys.exit(main())
