"""`hitl stress`: how much the loop takes, on a database of its own that is dropped afterwards."""

from __future__ import annotations

import secrets
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from pydantic import SecretStr

from flows.serve import application, listen, server_of
from flows.stressing.load import Offered, Pace, Timings, offer
from flows.stressing.people import Producer, Reviewers, Selection
from flows.stressing.report import Bounds, StressReport, figures_of, missed_bounds
from flows.wiring import World, read_policy, read_recipe, stack_of
from hitl import reports
from hitl.db import begin, count_rows, scratch_database
from hitl.services import Endpoints
from hitl.services.postgres import PostgresServer
from hitl.settings import Settings

_PRODUCERS = 4
_REVIEWERS = 4
# What a producer, or a reviewer, would wait before giving up.
_PATIENCE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Load:
    """What is offered, per second, and for how long. `rows`: decisions in a push."""

    decisions_per_second: float
    reviews_per_second: float
    seconds: float
    rows: int = 100
    select_every: float = 5.0
    seed: int = 1


def stress(
    settings: Settings,
    load: Load,
    bounds: Bounds,
    *,
    progress: Callable[[str], None] = lambda _: None,
) -> StressReport:
    """Push, select and review at the offered load; the rows of the database must then add up.

    On the database server that the settings name, else on one of its own that ends with it. The
    loop's own database is not touched.

    Raises:
        Refused: this login may not create a database.
        Unavailable: Postgres is away.
    """
    with _database(settings, progress) as url:
        told = settings.model_copy(
            update={
                "api_tokens": SecretStr(f"stress={secrets.token_urlsafe(24)}"),
                # It is the loop that is asked, not the limit before it.
                "api_rows_per_second": max(1e6, 10 * load.decisions_per_second),
                "webhook_url": None,
                "webhook_secret": None,
            }
        )
        world = World(
            settings=told,
            policy=read_policy(settings),
            recipe=read_recipe(settings),
            endpoints=Endpoints(database_url=SecretStr(url)),
        )
        try:
            progress("offering…")
            return _run(world, load, bounds)
        finally:
            world.close()


@contextmanager
def _database(settings: Settings, progress: Callable[[str], None]) -> Iterator[str]:
    with ExitStack() as held:
        known = stack_of(settings).endpoints().database_url
        if known is not None:
            url = known.get_secret_value()
        else:
            progress("starting a Postgres of its own…")
            prefix = "hitl-stress-"
            folder = held.enter_context(
                tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True)
            )
            server = PostgresServer.start(Path(folder) / "postgres")
            held.callback(server.remove)
            url = server.url("postgres")
        progress("making a database…")
        yield held.enter_context(scratch_database(url, purpose="stress"))


def _run(world: World, load: Load, bounds: Bounds) -> StressReport:
    from flows import select_batch  # noqa: F401 - its seconds of importing are nobody's wait

    reviewers = Reviewers(world)
    people = [f"reviewer-{number}" for number in range(_REVIEWERS)]
    reviewers.arrive(people)
    selection = Selection(
        world,
        load.seed,
        # Enough for the reviewers until the next one, and some to choose their turn among.
        limit=max(10, round(2 * load.reviews_per_second * load.select_every)),
    )
    with _served(world) as client:
        producer = Producer(
            client,
            world.settings.producers[0][1].get_secret_value(),
            world.policy.category_ids,
            rows=load.rows,
            patience=_PATIENCE_SECONDS,
            seed=load.seed,
        )
        begun = time.monotonic()
        pushed, reviewed = _offer(load, producer, selection, reviewers, people, begun)
        seconds = time.monotonic() - begun
    review = Timings("review", [one for part in reviewed for one in part.stage.seconds])
    stages = figures_of(
        [pushed.stage, selection.stage, reviewers.claim, reviewers.complete, review]
    )
    offered = pushed.due * load.rows
    dropped = pushed.dropped * load.rows
    drop_rate = dropped / offered if offered else 0.0
    return StressReport(
        seconds=seconds,
        decisions_offered=offered,
        decisions_taken=pushed.done * load.rows,
        decisions_dropped=dropped,
        drop_rate=drop_rate,
        refused=producer.refused,
        batches=selection.batches,
        picks=selection.picks,
        reviews_offered=sum(one.due for one in reviewed),
        reviews_done=sum(one.done for one in reviewed),
        reviews_dropped=sum(one.dropped for one in reviewed),
        starved=sum(one.idle for one in reviewed),
        stages=stages,
        broken=tuple(_broken(world, pushed, load, reviewers)),
        missed=missed_bounds(stages, drop_rate=drop_rate, bounds=bounds),
    )


def _offer(
    load: Load,
    producer: Producer,
    selection: Selection,
    reviewers: Reviewers,
    people: list[str],
    begun: float,
) -> tuple[Offered, list[Offered]]:
    pace = Pace(begun, load.seconds, _PATIENCE_SECONDS, clock=time.monotonic, sleep=time.sleep)
    over = threading.Event()

    def select() -> None:
        number = 0
        while not over.wait(load.select_every if number else min(1.0, load.select_every)):
            selection.choose(number)
            number += 1

    with ThreadPoolExecutor(2 + len(people)) as pool:
        selecting = pool.submit(select)
        pushing = pool.submit(
            offer,
            "push",
            producer.push,
            every=load.rows / load.decisions_per_second,
            workers=_PRODUCERS,
            pace=pace,
        )
        reviewing = [
            pool.submit(
                offer,
                "review",
                reviewers.review(one),
                every=len(people) / load.reviews_per_second,
                workers=1,
                pace=pace,
            )
            for one in people
        ]
        try:
            pushed = pushing.result()
            reviewed = [one.result() for one in reviewing]
        finally:
            over.set()
        selecting.result()
    return pushed, reviewed


def _broken(world: World, pushed: Offered, load: Load, reviewers: Reviewers) -> Iterator[str]:
    """What must hold whatever the load. A push that was given up may have been taken in."""
    with begin(world.engine) as tx:
        there = {one: count_rows(tx, one) for one in ("decisions", "items", "api_requests")}
        accounts = reports.accounts(reports.count_loop(tx, world.policy))
    least, most = pushed.done * load.rows, (pushed.done + pushed.dropped) * load.rows
    for table in ("decisions", "items"):
        if not least <= there[table] <= most:
            yield f"{there[table]:,} rows of {table}, where {least:,} to {most:,} were pushed"
    if there["api_requests"] * load.rows != there["decisions"]:
        yield "what was answered and what was stored are not the same"
    twice = [entry for entry, times in Counter(reviewers.held).items() if times > 1]
    if twice:
        yield f"{len(twice):,} entries were held by two"
    yield from (f"{one.name}: {one.left} and {one.right}" for one in accounts if not one.balances)


@contextmanager
def _served(world: World) -> Iterator[httpx.Client]:
    """A client of `hitl serve` over this world."""
    listening = listen("127.0.0.1", 0)
    server = server_of(application(world))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    try:
        with httpx.Client(
            base_url=f"http://127.0.0.1:{listening.getsockname()[1]}", trust_env=False, timeout=60
        ) as client:
            while not server.started:
                time.sleep(0.01)
            yield client
    finally:
        server.should_exit = True
        thread.join()
        listening.close()
