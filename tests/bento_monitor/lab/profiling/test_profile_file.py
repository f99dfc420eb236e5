from __future__ import annotations

import json
from dataclasses import replace

import pytest
from profiles import HEALTHY, QUIET, profile

from bento_monitor.errors import InputError
from bento_monitor.lab.diagnosis import diagnose
from bento_monitor.lab.loadgen.slo import Slo
from bento_monitor.lab.loadgen.slo_search import RateTrial, SloSearch
from bento_monitor.lab.profiling.profile_file import profile_text, read_profile
from bento_monitor.lab.profiling.profile_record import GcPauses, Percentile, Profile
from bento_monitor.lab.profiling.render.page import page_of
from bento_monitor.lab.profiling.render.sentences import bottleneck_of, slo_text


def held_back() -> Profile:
    found = profile(replace(HEALTHY, pauses=GcPauses(8, 2400, 350, 0.97, 0.3)), census={"TimerHandle": 60_000})
    return replace(found, findings=diagnose(found))


@pytest.mark.parametrize(
    "found",
    [
        profile(),
        held_back(),
        profile(server=None),
        replace(profile(), standalone=None, slo=None),
        replace(profile(), slo=SloSearch(Slo(99.0, 5.0), None, (RateTrial(40.0, None, None, 9, False),))),
    ],
    ids=["plain", "findings", "remote", "no standalone", "failures"],
)
def test_profile_is_read_back_unchanged(found, tmp_path):
    file = tmp_path / "profile.json"
    file.write_text(profile_text(found))
    assert read_profile(file) == found
    json.loads(file.read_text(), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


def test_profile_with_the_former_field_name_is_read(tmp_path):
    file = tmp_path / "profile.json"
    raw = json.loads(profile_text(profile()))
    raw["bare"] = raw.pop("standalone")
    file.write_text(json.dumps(raw))
    assert read_profile(file) == profile()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"points": [{}], "findings": []}'])
def test_file_that_is_not_a_profile_is_refused(text, tmp_path):
    file = tmp_path / "profile.json"
    file.write_text(text)
    with pytest.raises(InputError, match="is not a profile.*--output FILE"):
        read_profile(file)


def test_missing_profile_is_refused(tmp_path):
    with pytest.raises(InputError, match="is not a profile"):
        read_profile(tmp_path / "none")


def test_page_shows_rate_and_bottleneck_and_is_self_contained():
    page = page_of(held_back())
    assert "1000 requests/s" in page
    assert "Garbage collections stop every request" in page
    assert "60000 timers are alive" in page
    assert "standalone function in batches of 8; the service reaches 50% of that, and 71% of the 1400 items/s" in page
    assert "in batches of 4.0, the mean batch size when served" in page
    assert "40% of that peak" in page
    assert "p99=50ms is met up to 800 requests/s" in page
    assert "<td>aten::addmm</td><td>80%</td>" in page
    assert "characters of one item" in page
    assert "batch of 8: 40.0 GFLOP/s, 116% of the roof<" in page
    assert "probe overhead 2.5 us per request" in page
    assert "Test GPU with 16 clients: busy 50%, 1024 MiB, 70 W" in page
    assert "GPU time per request: 0.250 ms" in page
    assert "GPU energy per request: 1.5 mJ" in page
    for outside in ("http://", "https://", "<script", "<link", "src="):
        assert outside not in page


def test_page_draws_every_percentile_of_every_rate():
    latencies = tuple(Percentile(each, 10 * each, 9 * each, 11 * each, 11) for each in (50.0, 95.0, 99.0))
    found = replace(profile(mode="open", offered_rps=500.0, share=0.5, latencies=latencies), standalone=None)
    page = page_of(found)
    assert page.count("<circle") == 3
    assert "p99: 990.00 ms, at most 1089.00 ms" in page


def test_unmet_slo_is_shown_with_its_bound():
    broken = SloSearch(Slo(99.0, 5.0), None, (RateTrial(40.0, 6.0, 7.25, 0, False),))
    assert slo_text(broken) == "p99=5ms is not met at 40 requests/s: the upper bound is 7.2 ms."
    failing = SloSearch(Slo(99.0, 5.0), None, (RateTrial(40.0, None, None, 9, False),))
    assert slo_text(failing) == "p99=5ms is not met at 40 requests/s: requests failed."


def test_failures_are_shown_by_kind():
    page = page_of(profile(failed=7, errors={"HTTP 503": 5, "Timeout": 2}))
    assert "Failed with 16 clients: 5 of HTTP 503, 2 of Timeout." in page
    assert "Failed with" not in page_of(profile())


@pytest.mark.parametrize(
    ("changes", "idle_cores", "limit"),
    [
        ({"throughput_rps": 1300.0}, 0.8, "the API function"),
        ({"throughput_rps": 700.0}, 0.2, "CPU cores"),
        ({"throughput_rps": 700.0}, 0.8, "unknown"),
        ({"throughput_rps": 700.0, "server": None}, 0.2, "unknown"),
        ({"throughput_rps": 520.0, "batch_size": None}, 0.2, "the API function"),
    ],
)
def test_bottleneck_without_a_finding_is_the_function_or_the_cores(changes, idle_cores, limit):
    found = profile(machine=replace(QUIET, idle_cores=idle_cores), **{"server": HEALTHY, **changes})
    assert bottleneck_of(found)[0] == limit
    assert f"<b>{limit}</b>" in page_of(found)


def test_names_are_escaped_on_the_page():
    page = page_of(replace(profile(), target="<b>service</b>:Service", path="/<i>"))
    assert "<b>service" not in page
    assert "&lt;b&gt;service&lt;/b&gt;:Service/&lt;i&gt;" in page
