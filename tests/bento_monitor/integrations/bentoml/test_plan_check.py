"""The check of a plan at the start: it finds exactly the plans that read or write differently from BentoML."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SERVICES = Path(__file__).parents[3] / "differential" / "services"
# In a child, since BentoML warns when it is imported, and warnings are errors here.
SCRIPT = """
import asyncio, dataclasses, json, sys
from pathlib import Path
from bento_monitor.integrations.bentoml.plan_check import find_difference
from bento_monitor.integrations.bentoml.plans import _choose
from bento_monitor.batching import BatchHooks
from bento_monitor.integrations.bentoml.service_class import monitor_service, make_factory
from bento_monitor.integrations.bentoml.services import load_service

service = load_service("kinds:Kinds", Path.cwd())
monitor_service(service, lambda each, build_stock, is_main: build_stock(is_main))
factory = make_factory(service, True, BatchHooks())
application = factory()
CHANGES = {
    "none": lambda plan: {},
    "parse": lambda plan: {"parse": lambda body: ((), {name: None for name in plan.parse(body)[1]})},
    "error": lambda plan: {"parse": lambda body: ((), {})},
    "render": lambda plan: {"render": lambda value: dataclasses.replace(plan.render(value), body=b"other")},
    "header": lambda plan: {"render": lambda value: dataclasses.replace(plan.render(value), content_type=(b"a", b"b"))},
}
found = {}
for api, change in (pair.split(":") for pair in sys.argv[1:]):
    method = service.apis[api]
    plan = _choose(factory, application, api, method).plan
    plan = dataclasses.replace(plan, **CHANGES[change](plan))
    found[f"{api}:{change}"] = asyncio.run(find_difference(plan, method, service.context))
print(json.dumps(found))
"""
CASES = {
    "scalars:none": None,
    "root_list:none": None,
    "array:none": None,
    "scalars:parse": "reads",
    "nested:error": "reads",
    "scalars:render": "writes",
    "array:render": "writes",
    "nested:header": "writes",
}


@pytest.fixture(scope="module")
def found() -> dict[str, str | None]:
    command = [sys.executable, "-P", "-c", SCRIPT, *CASES]
    done = subprocess.run(command, cwd=SERVICES, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    result: dict[str, str | None] = json.loads(done.stdout.splitlines()[-1])
    return result


@pytest.mark.parametrize("case", CASES)
def test_plan_is_checked_by_its_reads_and_writes(found: dict[str, str | None], case: str) -> None:
    expected = CASES[case]
    if expected is None:
        assert found[case] is None
    else:
        assert f"it {expected} " in str(found[case])
