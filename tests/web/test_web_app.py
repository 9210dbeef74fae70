"""The application by itself: what it answers, and what no answer, log or figure ever says."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from hitl import web
from hitl.db import DatabaseRefused, DatabaseUnavailable, SchemaBehind
from hitl.errors import HitlError
from hitl.web import Figure
from tests.web.serving import serving

CANARY = "quokka-canary-7731"


def passes() -> None:
    """A database that is as it should be."""


def fails(reason: Exception) -> Callable[[], None]:
    def fail() -> None:
        raise reason

    return fail


def made(**changed: object) -> object:
    return web.create_app(**{"check": passes, "figures": {}, "version": "1"} | changed)  # type: ignore[arg-type]


def test_health_is_good_while_the_database_answers_at_its_schema() -> None:
    with serving(made()) as client:
        answer = client.get("/healthz")

    assert (200, {"status": "ok"}) == (answer.status_code, answer.json())


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        (DatabaseUnavailable("db.test:5432"), "does not answer"),
        (SchemaBehind("0001", "0002"), "run `hitl migrate`"),
    ],
)
def test_health_says_what_is_wrong_and_what_to_do(reason: HitlError, words: str) -> None:
    with serving(made(check=fails(reason))) as client:
        answer = client.get("/healthz")

    assert 503 == answer.status_code
    assert type(reason).__name__ == answer.json()["error"]
    assert words in answer.json()["reason"]


def test_every_answer_keeps_browsers_and_caches_out() -> None:
    with serving(made()) as client:
        answers = [client.get("/healthz"), client.get("/nothing"), client.delete("/metrics")]

    assert [200, 404, 405] == [one.status_code for one in answers]
    for one in answers:
        assert "nosniff" == one.headers["x-content-type-options"]
        assert "no-store" == one.headers["cache-control"]
        assert (
            "default-src 'none'; frame-ancestors 'none'" == one.headers["content-security-policy"]
        )
        assert "server" not in one.headers


def test_a_fault_is_told_without_its_words(capfd: pytest.CaptureFixture[str]) -> None:
    with serving(made(check=fails(ValueError(CANARY)))) as client:
        answer = client.get("/healthz")

    assert (500, "fault") == (answer.status_code, answer.json()["code"])
    said = capfd.readouterr()
    assert "ValueError at" in said.out + said.err
    assert CANARY not in answer.text + said.out + said.err


def test_figures_are_counted_by_route_and_never_by_what_was_asked_for() -> None:
    with serving(made()) as client:
        client.get("/healthz")
        client.get(f"/{CANARY}?{CANARY}={CANARY}")
        page = client.get("/metrics").text

    counted = {
        (one.labels["route"], one.labels["status"]): one.value
        for family in text_string_to_metric_families(page)
        for one in family.samples
        if one.name == "hitl_http_request_seconds_count"
    }
    assert {("/healthz", "200"): 1.0, ("other", "404"): 1.0} == counted
    assert CANARY not in page


def test_a_scrape_answers_while_the_database_is_away() -> None:
    def away() -> Iterator[Figure]:
        raise DatabaseUnavailable("db.test:5432")

    def here() -> list[Figure]:
        return [Figure("hitl_wakeups", "Waiting.", 3.0, {"policy": "community"})]

    with serving(made(figures={"database": away, "collector": here})) as client:
        answer = client.get("/metrics")

    assert 200 == answer.status_code
    assert 'hitl_figures_up{source="database"} 0.0' in answer.text
    assert 'hitl_figures_up{source="collector"} 1.0' in answer.text
    assert 'hitl_wakeups{policy="community"} 3.0' in answer.text


def test_what_our_own_side_refuses_is_not_the_clients_fault(
    capfd: pytest.CaptureFixture[str],
) -> None:
    full = DatabaseRefused("db.test:5432", "has no room left on its disk", sqlstate="53100")

    with serving(made(figures={"database": fails(full)})) as client:
        page = client.get("/metrics")

    assert 200 == page.status_code
    assert "db.test" not in page.text
