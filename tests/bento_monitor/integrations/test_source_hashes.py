"""The hashes of BentoML's sources: they match the installed version, and a change is detected."""

import json
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from packaging.version import Version

from bento_monitor.integrations import source_hashes as sources

# BentoML before 1.4.35 makes sessions differently, and 1.4.30 has none to renew.
OFF = {"sessions"} if Version(version("bentoml")) < Version("1.4.35") else set()


def test_known_hashes_are_those_of_the_installed_bentoml() -> None:
    command = [sys.executable, "-P", "-m", "bento_monitor.integrations.source_hashes"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    printed = [re.fullmatch(r' {4}"(.+)": "(\w+)",', line) for line in lines]
    found = {match[1]: match[2] for match in printed if match}
    assert len(found) == len(lines)
    assert found.keys() == sources.EVERYTHING.keys()
    others = {name for name, known in sources.EVERYTHING.items() if found[name] not in known.split()}
    assert others == (sources.SESSIONS.keys() if OFF else set())


def test_every_hook_is_supported_by_the_installed_bentoml() -> None:
    command = [str(Path(sys.executable).with_name("bento-monitor")), "doctor", "--json"]
    hooks = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)["hooks"]
    assert {"answers", "traffic"} <= {hook["name"] for hook in hooks}
    assert {hook["name"] for hook in hooks if not hook["is_enabled"]} == OFF


SOURCE = """
    @decorated  # by what is above
    class Known(Base):
        '''What it is.

        # And more.
        '''

        async def answer(self, text: str = "# no comment") -> str:
            "One line."
            value = f"{text} # nor this"  # but this

            # and this
            return value
    """
SAME = """
@decorated
class Known(Base):
    async def answer(self, text: str = "# no comment") -> str:
        value = f"{text} # nor this"
        return value
"""


def test_comments_docstrings_and_empty_lines_do_not_change_the_hash() -> None:
    plain = sources.without_comments(SOURCE)
    assert plain == SAME.strip("\n")
    for before, after in (("return value", "return None"), ("# nor this", "# nor that"), ("decorated", "other")):
        assert sources.without_comments(SOURCE.replace(before, after)) != plain


def test_changed_functions_methods_and_properties_are_named() -> None:
    names = ["json:dumps", "json.encoder:JSONEncoder.encode", "pathlib:PurePath.parent", "pathlib:Path.cwd"]
    assert sources.changed(dict.fromkeys(names, "another source")) == names
    assert sources.changed({name: sources.source_hash(name) for name in names}) == []
