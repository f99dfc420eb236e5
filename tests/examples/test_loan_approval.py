"""Loans: what a decision may know, the audit log after a kill, and decisions that are reproduced, also of a release."""

from __future__ import annotations

import csv
import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from bento_monitor.lab.server.process import ServerProcess, start_server
from bento_monitor.lab.server.server_spec import ServerSpec

FOLDER = Path(__file__).parents[2] / "examples" / "loan_approval"
COMMAND = str(Path(sys.executable).with_name("bento-monitor"))
KNOWN_LATER = (
    "ChgOffDate",
    "ChgOffPrinGr",
    "BalanceGross",
    "MIS_Status",
    "Term",
    "DisbursementDate",
    "DisbursementGross",
)
LOAN = {
    "Name": "ABC HOBBYCRAFT",
    "State": "IN",
    "Bank": "FIFTH THIRD BANK",
    "BankState": "OH",
    "NAICS": "451120",
    "ApprovalDate": "28-Feb-97",
    "ApprovalFY": "1997",
    "Term": "84",
    "NoEmp": "4",
    "NewExist": "2",
    "CreateJob": "0",
    "RetainedJob": "0",
    "FranchiseCode": "1",
    "RevLineCr": "N",
    "LowDoc": "Y",
    "ChgOffDate": "",
    "DisbursementDate": "28-Feb-99",
    "DisbursementGross": "$60,000.00 ",
    "BalanceGross": "$0.00 ",
    "MIS_Status": "P I F",
    "ChgOffPrinGr": "$0.00 ",
    "GrAppv": "$60,000.00 ",
    "SBA_Appv": "$48,000.00 ",
}


def applications_read_from(path: Path, loans: list[dict[str, str]]) -> list[dict[str, Any]]:
    """Return the applications that make_data.py makes of a file of loans."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(LOAN))
        writer.writeheader()
        writer.writerows(loans)
    code = (
        "import json,sys; from pathlib import Path; import make_data as m; print(json.dumps([a.model_dump() for a in "
    )
    code += "m.applications_of(m.read_loans(Path(sys.argv[1])))]))"
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], cwd=FOLDER, capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def test_no_application_depends_on_what_is_known_later(tmp_path: Path) -> None:
    changed = {
        "Name": "ANOTHER",
        "Term": "3",
        "ChgOffDate": "1-Jan-99",
        "DisbursementDate": "1-Jan-98",
        "DisbursementGross": "$1.00 ",
        "BalanceGross": "$2.00 ",
        "MIS_Status": "CHGOFF",
        "ChgOffPrinGr": "$9,999.00 ",
    }
    assert changed.keys() >= set(KNOWN_LATER)
    (before, after) = applications_read_from(tmp_path / "loans.csv", [LOAN, LOAN | changed])
    assert before == after
    assert before["amount_usd"] == 60_000
    (other,) = applications_read_from(tmp_path / "other.csv", [LOAN | {"GrAppv": "$70,000.00 "}])
    assert other != before


def test_dates_of_two_digits_are_of_the_right_century(tmp_path: Path) -> None:
    code = (
        "import pandas as p, make_data as m; print(*m.dates(p.Series(['28-Feb-97', '1-Jul-62', '3-Mar-10'])).dt.year)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=FOLDER, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1997", "1962", "2010"]


@dataclass
class Served:
    server: ServerProcess
    audit: Path
    environment: dict[str, str]
    bodies: list[dict[str, Any]]

    def decide(self, api: str, row: int, trace: str) -> dict[str, Any]:
        headers = {"traceparent": f"00-{trace}-{'1' * 16}-01"}
        answer = httpx.post(f"{self.server.base_url}/{api}", json=self.bodies[row], headers=headers, timeout=30)
        assert answer.status_code == 200, answer.text
        (decision,) = answer.json()
        return decision

    def decide_many(self, api: str, rows: range) -> list[dict[str, Any]]:
        """Ask at once, so that the requests share batches; each with a trace of its own."""
        with ThreadPoolExecutor(8) as pool:
            return list(pool.map(lambda row: self.decide(api, row, f"{row + 1:032x}"), rows))

    def run_audit(self, decision: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "audit.py", "show", decision]
        return subprocess.run(
            command, cwd=FOLDER, env=self.environment, capture_output=True, text=True, timeout=120, check=False
        )


@pytest.fixture
def served(tmp_path: Path, short_files: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    files = short_files("loan_approval")
    homes = {"BENTOML_HOME": str(tmp_path / "bentoml"), "BENTO_MONITOR_HOME": str(tmp_path / "monitor")}
    own = {"EXAMPLE_FILES": str(files), "AUDIT_DIR": str(tmp_path / "audit"), **homes}
    own["BENTO_MONITOR_RELEASE_PROBATION_S"] = "1"
    for name, value in own.items():
        monkeypatch.setenv(name, value)
    bodies = [json.loads(line)["request"] for line in (files / "eval.jsonl").read_text().splitlines()]
    spec = ServerSpec(target="service:LoanApproval", working_dir=FOLDER, as_="monitored", log=tmp_path / "server.log")
    with start_server(spec) as server:
        yield Served(server, tmp_path / "audit", {**os.environ, **own}, bodies)


def test_every_answered_decision_survives_a_kill_and_is_reproduced(served: Served) -> None:
    decisions = [decision for api in ("decide", "decide_by_network") for decision in served.decide_many(api, range(40))]
    (worker,) = served.server.worker_pids()
    os.kill(worker, signal.SIGKILL)
    written = {row["id"]: row for row in map(json.loads, (served.audit / "audit.jsonl").read_text().splitlines())}
    inputs = {row["id"]: row for row in map(json.loads, (served.audit / "inputs.jsonl").read_text().splitlines())}
    assert stat.S_IMODE((served.audit / "inputs.jsonl").stat().st_mode) == 0o600
    assert len(decisions) == len(written) == 80
    for number, decision in enumerate(decisions):
        assert written[decision["id"]] | {"decided_at_s": 0} == decision | {"decided_at_s": 0}
        assert [inputs[decision["id"]]["application"]] == served.bodies[number % 40]["applications"]
        assert (decision["release"], decision["trace_id"]) == ("own", f"{number % 40 + 1:032x}")
        assert len(decision["reasons"]) == 3
    for decision in (decisions[3], decisions[77]):
        shown = served.run_audit(decision["id"])
        assert shown.returncode == 0, shown.stdout + shown.stderr
        assert "The decision was reproduced." in shown.stdout


def test_decision_that_was_changed_in_the_log_is_not_reproduced(served: Served) -> None:
    decision = served.decide("decide", 0, f"{1:032x}")
    path = served.audit / "audit.jsonl"
    path.write_text(path.read_text().replace(f'"probability":{decision["probability"]}', '"probability":0.9'))
    shown = served.run_audit(decision["id"])
    assert shown.returncode == 1
    assert "NOT REPRODUCED" in shown.stdout
    other = served.decide("decide", 1, f"{2:032x}")
    path.write_text(path.read_text().replace(f'"fact":"{other["reasons"][0]["fact"]}"', '"fact":"another"'))
    assert served.run_audit(other["id"]).returncode == 1
    unknown = served.run_audit("nothing")
    assert (unknown.returncode, "has no decision nothing" in unknown.stderr) == (2, True)


@pytest.mark.filterwarnings("ignore:GitWildMatchPattern:DeprecationWarning")  # BentoML's model store uses it
def test_decision_of_a_release_names_it_and_is_reproduced_with_it(
    served: Served, short_files: Callable[[str], Path], tmp_path: Path
) -> None:
    from example_spec import read_example
    from short_release import make_short_release

    for api, number in (("decide", 0), ("decide_by_network", 1)):
        example = replace(read_example("loan_approval"), api=api)
        release = make_short_release(example, short_files("loan_approval") / example.data, tmp_path / api)
        promoted = subprocess.run(
            [COMMAND, "release", "promote", release.name], capture_output=True, text=True, timeout=120, check=False
        )
        assert promoted.returncode == 0, promoted.stdout + promoted.stderr
        decisions = served.decide_many(api, range(number, number + 16))
        assert {decision["release"] for decision in decisions} == {release.name}
        shown = served.run_audit(decisions[5]["id"])
        assert shown.returncode == 0, shown.stdout + shown.stderr
        assert release.name in shown.stdout
