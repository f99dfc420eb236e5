"""A release serves only calls of the APIs whose accuracy was measured with it, no other call of the same model.

On a live server: APIs that share a runner, APIs that call one another in every way that BentoML has, two runners, one
runner called several times per request, and routes that are not APIs.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from live import Live, Place

SHARING = Path(__file__).parent / "sharing"
OWN, OWN_RERANK, RELEASED = 2.0, 3.0, 1000.0
OTHERS = (
    "search",
    "search_async",
    "parts",
    "calls_embed",
    "calls_embed_twice",
    "calls_embed_from_a_thread",
    "calls_search",
    "calls_search_from_a_thread",
    "calls_the_function",
    "in_a_thread_of_its_own",
    "in_a_thread_with_its_context",
    "mounted",
)


@pytest.fixture(scope="module", params=["true", "false"], ids=["traced", "untraced"])
def live(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("sharing")
    place = Place(folder, {"BENTO_MONITOR_TRACING": request.param}, source=SHARING)
    with place.serve(workers=1) as running:
        yield running


def promoted(live: Live, api: str, runner: str = "embed") -> None:
    version = f"{api}-{runner}".replace("_", "-")
    if not (live.place.folder / "models" / "wild-release" / version).is_dir():
        live.place.scaling(version, RELEASED, live, runner, api)
    live.place.done("promote", f"wild-release:{version}")


def test_other_apis_keep_the_own_model_however_they_call_it(live: Live) -> None:
    promoted(live, "embed")
    assert live.factors("embed") == {RELEASED: 40}
    found = {api: live.factors(api, 5) for api in OTHERS}
    assert found == {api: {OWN: 5} for api in OTHERS}


@pytest.mark.parametrize("other", ["calls_embed", "calls_embed_from_a_thread", "calls_embed_twice", "search"])
def test_concurrent_requests_to_two_apis_get_their_own_models(live: Live, other: str) -> None:
    promoted(live, "embed")
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda api: (api, live.factors(api, 100)), ["embed", other, "embed"]))
    assert found == [("embed", {RELEASED: 100}), (other, {OWN: 100}), ("embed", {RELEASED: 100})]


@pytest.mark.parametrize("api", ["calls_embed", "calls_embed_twice", "calls_search", "calls_the_function", "parts"])
def test_release_of_an_api_also_serves_the_apis_that_it_calls(live: Live, api: str) -> None:
    promoted(live, api)
    assert live.factors(api, 10) == {RELEASED: 10}
    assert live.factors("embed", 10) == live.factors("search", 10) == {OWN: 10}


def test_only_the_released_runner_of_two_is_replaced(live: Live) -> None:
    promoted(live, "both")
    assert live.factors("both", 10) == {RELEASED * OWN_RERANK: 10}
    assert live.factors("rerank", 10) == {OWN_RERANK: 10}
    promoted(live, "both", "rerank")
    assert live.factors("both", 10) == {RELEASED * RELEASED: 10}
    assert live.factors("rerank", 10) == {OWN_RERANK: 10}
    assert live.factors("search", 10) == {OWN: 10}


@pytest.mark.parametrize("tracing", ["true", "false"])
def test_mounted_route_keeps_the_own_model(tmp_path: Path, tracing: str) -> None:
    place = Place(tmp_path, {"BENTO_MONITOR_TRACING": tracing}, source=SHARING, service="OneApi")
    with place.serve(workers=1) as live:
        promoted(live, "embed")
        assert live.factors("embed", 10) == {RELEASED: 10}
        assert live.factors("mounted", 10) == {OWN: 10}
