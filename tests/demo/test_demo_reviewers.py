"""The crew against a label stream in memory: who ends when, retries, limits, stops."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from threading import Event

import httpx
import pytest
from pydantic import SecretStr

from flows.demo import seat as seats
from flows.demo.answers import SimulatedReviewer
from flows.demo.reviewers import Crew, ReviewReport, review
from flows.demo.seat import ReviewerRefused, ReviewersUnavailable, Seat, invite_path
from hitl.policy import Policy
from tests.builders import make_policy
from tests.demo.builders import StreamInMemory, make_judged, make_reviewer

POLICY: Policy = make_policy()
NAMES = ("alma", "bruno", "chidi", "dalia", "emre")


@contextmanager
def crew_at(
    server: StreamInMemory, *reviewers: SimulatedReviewer, patience_seconds: float = 5.0
) -> Iterator[Crew]:
    with ExitStack() as held:
        made = [
            held.enter_context(
                Seat(
                    "http://label-studio",
                    one,
                    patience_seconds=patience_seconds,
                    transport=server.transport,
                )
            )
            for one in reviewers
        ]
        for one in made:
            one.enter("/user/signup/?token=t")
        yield Crew(reviewers, tuple(made))


def work(server: StreamInMemory, crew: Crew, *, limit: int | None = None) -> ReviewReport:
    judged = make_judged([[k % 2, 0.0] for k in range(server.tasks)])
    return review(crew, 1, judged, policy=POLICY, limit=limit)


def five() -> list[SimulatedReviewer]:
    return [make_reviewer(name, seed=k) for k, name in enumerate(NAMES)]


def test_five_reviewers_empty_a_stream_and_each_task_is_answered_once() -> None:
    server = StreamInMemory(tasks=60)

    with crew_at(server, *five()) as crew:
        report = work(server, crew)

    assert 60 == report.submitted == sum(report.by_reviewer.values())
    assert [1] * 60 == [len(one) for one in server.stored.values()]


def test_with_an_overlap_of_two_different_people_answer() -> None:
    server = StreamInMemory(tasks=20, overlap=2)

    with crew_at(server, *five()) as crew:
        work(server, crew)

    assert [2] * 20 == [len({one["who"] for one in each}) for each in server.stored.values()]


def test_each_reviewer_works_under_an_account_of_their_own() -> None:
    server = StreamInMemory(tasks=200)

    with crew_at(server, *five()) as crew:
        work(server, crew)

    assert {f"{name}@reviewers.example" for name in NAMES} == set(server.accounts)
    assert set(server.accounts) >= {one["who"] for one in server.answers()}


def test_who_has_an_account_logs_in_instead_of_signing_up_again() -> None:
    server = StreamInMemory(tasks=1)
    with crew_at(server, make_reviewer()):
        pass

    with crew_at(server, make_reviewer()):
        pass

    assert 2 == server.logins
    assert 1 == len(server.accounts)


def test_an_account_with_another_password_is_refused_with_what_to_do() -> None:
    server = StreamInMemory(tasks=1, accounts={"alma@reviewers.example": "something else"})

    with (
        pytest.raises(ReviewerRefused, match="has another password") as caught,
        crew_at(server, make_reviewer()),
    ):
        pass

    assert "a long password" not in str(caught.value)


def test_a_skipped_task_is_answered_by_somebody_else_who_waited_for_it() -> None:
    server = StreamInMemory(tasks=12)
    shy, steady = make_reviewer("alma", skips=1.0), make_reviewer("bruno")

    with crew_at(server, shy, steady) as crew:
        report = work(server, crew)

    assert {"bruno": 12} == report.by_reviewer
    assert 12 == len([one for one in server.answers() if not one["was_cancelled"]])


def test_it_ends_when_everybody_skipped_everything() -> None:
    server = StreamInMemory(tasks=5)

    with crew_at(server, make_reviewer("alma", skips=1.0), make_reviewer("b", skips=1.0)) as crew:
        report = work(server, crew)

    assert (0, 10) == (report.submitted, report.skipped)


def test_an_empty_stream_ends_at_once() -> None:
    with crew_at(StreamInMemory(tasks=0), *five()) as crew:
        report = work(StreamInMemory(tasks=0), crew)

    assert (0, 0, 0) == (report.submitted, report.skipped, report.refused)


@pytest.mark.parametrize("limit", [1, 7, 30])
def test_exactly_as_many_answers_as_the_limit_says(limit: int) -> None:
    server = StreamInMemory(tasks=40)
    reviewers = [make_reviewer(name, seed=k, skips=0.3) for k, name in enumerate(NAMES)]

    with crew_at(server, *reviewers) as crew:
        report = work(server, crew, limit=limit)

    assert limit == report.submitted
    assert limit == len([one for one in server.answers() if not one["was_cancelled"]])


def test_a_limit_beyond_the_stream_ends_with_the_stream() -> None:
    server = StreamInMemory(tasks=10)

    with crew_at(server, *five()) as crew:
        report = work(server, crew, limit=50)

    assert 10 == report.submitted


def test_a_crew_comes_back_for_the_next_round_without_logging_in_again() -> None:
    server = StreamInMemory(tasks=10)

    with crew_at(server, *five()) as crew:
        first = work(server, crew)
        server.tasks = 25
        second = work(server, crew)

    assert (10, 15) == (first.submitted, second.submitted)
    assert 5 == server.logins


def test_an_answer_whose_reply_is_lost_is_sent_again_and_stored_and_counted_once() -> None:
    server = StreamInMemory(tasks=8, lose_replies=3)

    with crew_at(server, make_reviewer()) as crew:
        report = work(server, crew)

    assert (8, 0) == (report.submitted, report.refused)
    assert [1] * 8 == [len(one) for one in server.stored.values()]


def test_an_answer_that_was_there_before_is_not_counted_as_given() -> None:
    server = StreamInMemory(tasks=3)
    with crew_at(server, make_reviewer()) as crew:
        work(server, crew)
        server.stored.clear()  # as after a deletion: Label Studio serves the tasks again

        report = work(server, crew)

    assert (3, 3) == (report.submitted, report.refused)


def test_server_errors_and_dropped_connections_are_tried_again() -> None:
    server = StreamInMemory(tasks=6)

    with crew_at(server, make_reviewer()) as crew:
        server.faults = [503, httpx.ConnectError("refused"), 500]
        report = work(server, crew)

    assert 6 == report.submitted


def test_a_server_that_stays_away_is_given_up_after_the_patience() -> None:
    server = StreamInMemory(tasks=6)

    with crew_at(server, *five(), patience_seconds=0.5) as crew:
        server.faults = [503] * 500
        with pytest.raises(ReviewersUnavailable, match="HTTP 503"):
            work(server, crew)


def test_a_refusal_is_not_tried_again_and_ends_everybody() -> None:
    server = StreamInMemory(tasks=50)

    with crew_at(server, *five()) as crew:
        server.faults = [403] * 5
        with pytest.raises(ReviewerRefused, match="HTTP 403"):
            work(server, crew)

    assert 0 <= len(server.answers()) < 50


def test_a_set_stop_ends_the_crew_and_keeps_what_was_answered() -> None:
    server = StreamInMemory(tasks=10_000)
    stop = Event()
    counts: list[int] = []

    def on_label(count: int) -> None:
        counts.append(count)
        if count == 20:
            stop.set()

    with crew_at(server, *five()) as crew:
        judged = make_judged([[0.0, 0.0]] * server.tasks)
        report = review(crew, 1, judged, policy=POLICY, stop=stop, on_label=on_label)

    assert 20 <= report.submitted < 10_000
    assert report.submitted == len(server.answers())


def test_a_stop_interrupts_a_wait_between_two_tries() -> None:
    server = StreamInMemory(tasks=3)
    stop = Event()

    with crew_at(server, *five(), patience_seconds=3_600.0) as crew:
        server.faults = [503] * 100_000
        stop.set()
        report = review(crew, 1, make_judged([[0.0, 0.0]]), policy=POLICY, stop=stop)

    assert 0 == report.submitted


def test_ctrl_c_stops_everybody_and_is_raised_on(monkeypatch: pytest.MonkeyPatch) -> None:
    server = StreamInMemory(tasks=100_000)

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("flows.demo.reviewers.wait", interrupted)
    with crew_at(server, *five()) as crew, pytest.raises(KeyboardInterrupt):
        work(server, crew)

    stored = len(server.answers())
    assert stored < 100_000
    assert stored == len(server.answers())


def test_progress_counts_up_by_one() -> None:
    server = StreamInMemory(tasks=30)
    counts: list[int] = []

    with crew_at(server, *five()) as crew:
        judged = make_judged([[0.0, 0.0]] * 30)
        review(crew, 1, judged, policy=POLICY, on_label=counts.append)

    assert list(range(1, 31)) == counts


def test_answers_carry_what_gold_says() -> None:
    server = StreamInMemory(tasks=10)

    with crew_at(server, make_reviewer()) as crew:
        work(server, crew)

    chosen = Counter(one["result"][0]["value"]["choices"][0] for one in server.answers())
    assert {"none": 5, "hate": 5} == chosen


def test_the_invite_link_is_asked_for_with_either_kind_of_token() -> None:
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/api/token/refresh":
            return httpx.Response(200, json={"access": "short-lived"})
        seen.append(request.headers["authorization"])
        return httpx.Response(200, json={"invite_url": "http://elsewhere/user/signup/?token=t"})

    transport = httpx.MockTransport(answer)
    paths = [
        invite_path("http://x", SecretStr(token), transport=transport)
        for token in ("0123abcd", "head.body.signature")
    ]

    assert ["/user/signup/?token=t"] * 2 == paths
    assert ["Token 0123abcd", "Bearer short-lived"] == seen


def test_a_token_that_is_not_accepted_is_named_by_its_variable() -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(401))

    with pytest.raises(ReviewerRefused, match="HITL_LABEL_STUDIO_TOKEN"):
        seats.invite_path("http://x", SecretStr("0123abcd"), transport=transport)
