"""`POST /v1/decisions`: 202 means committed, once, and no other answer leaves anything behind."""

from __future__ import annotations

import gzip
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine

from hitl import decisions
from hitl.db import begin, connect
from tests.web.pushing import (
    NEXT_TOKEN,
    OTHER_TOKEN,
    TOKEN,
    Producer,
    batch,
    decision,
    producing,
)

pytestmark = pytest.mark.postgres

CANARY = "quokka-canary-7731"


@pytest.fixture
def producer(engine: Engine) -> Iterator[Producer]:
    with producing(engine) as made:
        yield made


def test_what_is_pushed_is_committed_when_it_is_answered(producer: Producer) -> None:
    answer = producer.push(batch(decision(1), decision(2, text="a")), key="k1")

    assert 202 == answer.status_code
    assert ("k1", 2) == (answer.json()["idempotency_key"], answer.json()["rows"])
    assert {"read": 2, "new": 2, "known": 0, "conflicts": 0, "rejected": 0} == answer.json()[
        "decisions"
    ]
    assert [("i1", "m1", "review", {"hate": 0.5}), ("i2", "m1", "review", {"hate": 0.5})] == (
        producer.rows(
            "SELECT item_id, model_version, action, probabilities FROM decisions ORDER BY 1"
        )
    )
    assert [("i1", None), ("i2", "a")] == producer.rows(
        "SELECT item_id, text FROM items ORDER BY 1"
    )


def test_the_same_key_again_gives_the_same_answer_and_stores_nothing(producer: Producer) -> None:
    first = producer.push(batch(decision(1), CANARY), key="k1")

    again = producer.push(batch(decision(1), CANARY), key="k1")

    assert (202, first.content) == (again.status_code, again.content)
    assert ("true", None) == (
        again.headers.get("idempotency-replayed"),
        first.headers.get("idempotency-replayed"),
    )
    assert (1, 1) == (producer.count("decisions"), producer.count("api_requests"))


def test_the_same_key_with_another_body_is_refused_and_stores_nothing(producer: Producer) -> None:
    producer.push(batch(decision(1)), key="k1")

    answer = producer.push(batch(decision(2)), key="k1")

    assert (409, "key_taken") == (answer.status_code, answer.json()["code"])
    assert [("i1",)] == producer.rows("SELECT item_id FROM decisions")


def test_each_producer_has_keys_of_its_own(producer: Producer) -> None:
    producer.push(batch(decision(1)), key="k1")

    answer = producer.push(batch(decision(2)), key="k1", token=OTHER_TOKEN)

    assert 202 == answer.status_code
    assert 2 == producer.count("decisions")


def test_without_a_key_the_body_is_its_own(producer: Producer) -> None:
    first = producer.push(batch(decision(1)))

    again = producer.push(batch(decision(1)))
    other = producer.push(batch(decision(1), decision(2)))

    assert first.content == again.content
    assert first.json()["idempotency_key"].startswith("sha256:")
    assert (1, 1) == (other.json()["decisions"]["new"], other.json()["decisions"]["known"])


def test_one_key_from_many_at_once_is_taken_in_once(producer: Producer) -> None:
    body = batch(*[decision(n) for n in range(200)])

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: producer.push(body, key="k1"), range(24)))

    assert {202} == {one.status_code for one in answers}
    assert 1 == len({one.content for one in answers})
    assert 1 == sum("idempotency-replayed" not in one.headers for one in answers)
    assert (200, 1) == (producer.count("decisions"), producer.count("api_requests"))


def test_overlapping_pushes_at_once_lose_and_double_nothing(producer: Producer) -> None:
    bodies = [
        batch(*[decision(n) for n in range(start, start + 150)]) for start in range(0, 500, 50)
    ]

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(producer.push, bodies))

    assert {202} == {one.status_code for one in answers}
    assert (
        600 == producer.count("decisions") == sum(one.json()["decisions"]["new"] for one in answers)
    )


def test_what_is_malformed_is_told_by_position_and_kept_where_people_look(
    producer: Producer,
) -> None:
    answer = producer.push(
        batch(decision(1), decision(2, decided_at=CANARY), CANARY, decision(4)), key="night-1"
    )

    assert 202 == answer.status_code
    assert [(1, "decided_at"), (2, "row")] == [
        (one["position"], one["field"]) for one in answer.json()["set_aside"]
    ]
    assert {"read": 4, "new": 2, "known": 0, "conflicts": 0, "rejected": 2} == answer.json()[
        "decisions"
    ]
    with begin(producer.engine) as tx:
        kept = decisions.list_rejects(tx, source="night-1")
    assert [("push:ranker/night-1", 2, "decided_at"), ("push:ranker/night-1", 3, "row")] == [
        (one.source, one.line, one.field) for one in kept
    ]


def test_another_payload_under_a_known_decision_is_a_conflict(producer: Producer) -> None:
    producer.push(batch(decision(1)))

    answer = producer.push(batch(decision(1, action="block")))

    assert 1 == answer.json()["decisions"]["conflicts"]
    assert [("push:ranker",)] == producer.rows("SELECT split_part(source, '/', 1) FROM conflicts")


@pytest.mark.parametrize("token", [None, "", "wrong", TOKEN[:-1], TOKEN + "x", f"{TOKEN},"])
def test_without_a_token_of_ours_nothing_is_read(producer: Producer, token: str | None) -> None:
    answers = [producer.push(batch(decision(1)), token=token), producer.push(b"{", token=token)]

    for one in answers:
        assert (401, "Bearer") == (one.status_code, one.headers["www-authenticate"])
    assert answers[0].content == answers[1].content
    assert 0 == producer.count("items")


def test_another_scheme_with_the_right_token_is_refused(producer: Producer) -> None:
    answer = producer.push(batch(decision(1)), token=None, Authorization=f"Token {TOKEN}")

    assert 401 == answer.status_code


def test_both_tokens_of_a_rotation_are_the_same_producer(producer: Producer) -> None:
    first = producer.push(batch(decision(1)), key="k1", token=TOKEN)

    again = producer.push(batch(decision(1)), key="k1", token=NEXT_TOKEN)

    assert first.content == again.content


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "not_json"),
        (b'{"decisions": [', 400, "not_json"),
        (b'{"decisions": [{"item_id": NaN}]}', 400, "not_json"),
        (b"\xff\xfe\xfa", 400, "not_json"),
        (b"[" * 100_000, 400, "not_json"),
        (b'{"decisions": [' + b"9" * 5_000 + b"]}", 400, "not_json"),
        (b"[]", 422, "not_a_batch"),
        (b"{}", 422, "not_a_batch"),
        (b'{"decisions": []}', 422, "not_a_batch"),
        (b'{"decisions": {"0": 1}}', 422, "not_a_batch"),
        (b'{"decisions": [' + b"1," * 10_000 + b"1]}", 422, "too_many_rows"),
        (b'{"decisions": ["' + b"x" * 9_000_000 + b'"]}', 413, "too_large"),
    ],
)
def test_a_body_that_cannot_be_used_is_refused_whole(
    producer: Producer, body: bytes, status: int, code: str
) -> None:
    answer = producer.push(body)

    assert (status, code) == (answer.status_code, answer.json()["code"])
    assert (0, 0) == (producer.count("rejects"), producer.count("api_requests"))


def test_a_body_without_a_declared_length_is_cut_at_the_same_size(producer: Producer) -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield b" " * 65_536

    answer = producer.push(endless())

    assert (413, "close") == (answer.status_code, answer.headers["connection"])


def test_a_compressed_body_and_another_type_are_refused(producer: Producer) -> None:
    packed = producer.push(gzip.compress(batch(decision(1))), Content_Encoding="gzip")
    form = producer.push(b"a=b", Content_Type="application/x-www-form-urlencoded")

    assert [415, 415] == [packed.status_code, form.status_code]


@pytest.mark.parametrize("key", ["a b", "x" * 101, "a/b", "a,b"])
def test_a_key_that_might_be_anything_is_refused(producer: Producer, key: str) -> None:
    answer = producer.push(batch(decision(1)), key=key)

    assert (400, "bad_key") == (answer.status_code, answer.json()["code"])
    assert key not in answer.text


def test_who_pushes_too_much_is_told_how_long_to_wait(engine: Engine) -> None:
    with producing(engine, api_rows_per_second=0.5) as slow:
        rows = [decision(n) for n in range(6_000)]
        taken = [slow.push(batch(*rows[:5_999])), slow.push(batch(*rows[:5_998]))]

        refused = slow.push(batch(rows[-1]))
        other = slow.push(batch(rows[-1]), token=OTHER_TOKEN)

    assert [202, 202] == [one.status_code for one in taken]
    assert (429, "too_many") == (refused.status_code, refused.json()["code"])
    # 11,997 of 10,000 are spent, and half a row comes back a second.
    assert 3_980 <= int(refused.headers["retry-after"]) <= 3_998
    assert 202 == other.status_code


def test_while_postgres_is_away_the_answer_says_when_to_come_again() -> None:
    away = connect("postgresql://nobody@127.0.0.1:9/nothing")
    with producing(away) as producer:
        answer = producer.push(batch(decision(1)))
    away.dispose()

    assert (503, "unavailable") == (answer.status_code, answer.json()["code"])
    assert 0 < int(answer.headers["retry-after"])
    assert "127.0.0.1" not in answer.text


def test_a_request_that_breaks_off_leaves_nothing(producer: Producer) -> None:
    with socket.create_connection(
        (producer.client.base_url.host, producer.client.base_url.port)
    ) as raw:  # type: ignore[arg-type]
        raw.sendall(
            b"POST /v1/decisions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Authorization: Bearer " + TOKEN.encode() + b"\r\nContent-Length: 500\r\n\r\n"
            b'{"decisions": [{"item_id": "i1"'
        )

    assert 202 == producer.push(batch(decision(2))).status_code
    assert [("i2",)] == producer.rows("SELECT item_id FROM items")


def test_no_content_no_token_and_no_key_reach_logs_figures_or_the_description(
    producer: Producer, capfd: pytest.CaptureFixture[str]
) -> None:
    rows = [decision(1, text=CANARY), decision(2, action=CANARY), CANARY, {CANARY + " ": 1}]
    said = [
        producer.push(batch(*rows), key="k1").text,
        producer.push(b'{"' + CANARY.encode()).text,
        producer.push(batch(), token=CANARY).text,
    ]
    said += [producer.client.get(path).text for path in ("/metrics", "/openapi.json")]
    logged = capfd.readouterr()

    whole = "".join(said) + logged.out + logged.err
    assert CANARY not in whole
    assert TOKEN not in whole
    assert 'hitl_pushed_rows_total{kind="decisions",outcome="new",producer="ranker"} 1.0' in said[3]


def test_the_description_shows_an_example_that_is_taken(producer: Producer) -> None:
    said = producer.client.get("/openapi.json").json()["paths"]["/v1/decisions"]["post"]

    example = said["requestBody"]["content"]["application/json"]["example"]["decisions"]
    answer = producer.push(batch(*example))

    assert (202, [], []) == (
        answer.status_code,
        answer.json()["set_aside"],
        answer.json()["ignored"],
    )
    assert set(answer.json()) == set(
        said["responses"]["202"]["content"]["application/json"]["schema"]["properties"]
    )
