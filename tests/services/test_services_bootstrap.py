"""Label Studio's database gets its name only when the script said that all of it is there."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import psycopg2
import pytest

from hitl.services import installation, label_studio, store
from hitl.services.errors import ServiceFailed
from hitl.services.state import StateFolder

pytestmark = pytest.mark.postgres

# What runs in place of the real script: a table, then its last line.
INSIDE = """
import os, pathlib, sys, psycopg2
opened = psycopg2.connect(
    host=os.environ["POSTGRE_HOST"], port=os.environ["POSTGRE_PORT"],
    user=os.environ["POSTGRE_USER"], password=os.environ["POSTGRE_PASSWORD"],
    dbname=os.environ["POSTGRE_NAME"],
)
with opened:
    opened.cursor().execute({statement!r})
{then}
pathlib.Path(sys.argv[1]).write_text(sys.argv[2])
"""


class Bench:
    """A server, a state folder, and an interpreter that is taken for Label Studio's."""

    def __init__(self, url: str, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.url = url
        self.folder = folder
        port = store.arguments(url)["port"]
        self.postgres = cast(Any, SimpleNamespace(url=self.url_of, port=port))
        self.state = StateFolder(folder / "state").prepare()
        (folder / "bin").mkdir()
        installation.python_of(folder).symlink_to(sys.executable)
        patch.setattr(label_studio, "_scripts", lambda: folder)

    def url_of(self, database: str) -> str:
        return self.url.rsplit("/", 1)[0] + f"/{database}"

    def scripted(self, statement: str, then: str = "") -> None:
        # Through this interpreter's own packages: a link to it does not find its environment.
        paths = f"import sys; sys.path[:0] = {sys.path!r}\n"
        body = INSIDE.format(statement=statement, then=then)
        (self.folder / "hitl_bootstrap.py").write_text(paths + body)

    def bootstrap(self) -> None:
        label_studio.bootstrap(
            self.state, self.postgres, self.folder, progress=lambda _: None, timeout_seconds=30
        )

    def ask(self, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        connection = psycopg2.connect(**store.arguments(self.url_of(database)))
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return list(cursor.fetchall()) if cursor.description else []
        finally:
            connection.close()

    def databases(self) -> set[str]:
        found = self.ask("SELECT datname FROM pg_database WHERE datname LIKE 'labelstudio%'")
        return {name for (name,) in found}


@pytest.fixture
def bench(postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    made = Bench(postgres_url, tmp_path, monkeypatch)
    yield made
    for name in made.databases():
        made.ask(f'DROP DATABASE "{name}" WITH (FORCE)')
    made.ask(f'DROP ROLE IF EXISTS "{label_studio.DATABASE}"')


def test_a_database_gets_its_name_when_all_of_it_is_there(bench: Bench) -> None:
    bench.scripted("CREATE TABLE project (id int)")

    bench.bootstrap()

    assert {label_studio.DATABASE} == bench.databases()
    assert [] == bench.ask("SELECT * FROM project", label_studio.DATABASE)
    assert installation.lock_hash() == bench.state.note("label-studio.bootstrapped")["lock"]


def test_what_a_cut_off_start_left_behind_does_not_stand_in_the_way(bench: Bench) -> None:
    bench.scripted("CREATE TABLE project (id int)", then="raise SystemExit('no such column')")
    with pytest.raises(ServiceFailed, match="tables could not be created") as failed:
        bench.bootstrap()
    assert "no such column" in str(failed.value)
    assert {} == bench.state.note("label-studio.bootstrapped")
    assert {label_studio.UNFINISHED} == bench.databases()
    bench.scripted("CREATE TABLE project (id int)")  # would fail where the table is left

    bench.bootstrap()

    assert {label_studio.DATABASE} == bench.databases()


def test_a_session_left_in_the_unfinished_database_does_not_stand_in_the_way(bench: Bench) -> None:
    bench.scripted("CREATE TABLE project (id int)", then="raise SystemExit(1)")
    with pytest.raises(ServiceFailed):
        bench.bootstrap()
    left = psycopg2.connect(**store.arguments(bench.url_of(label_studio.UNFINISHED)))
    bench.scripted("CREATE TABLE project (id int)")

    bench.bootstrap()

    left.close()
    assert {label_studio.DATABASE} == bench.databases()


def test_the_mark_of_an_earlier_bootstrap_does_not_speak_for_this_one(bench: Bench) -> None:
    bench.scripted("CREATE TABLE project (id int)")
    bench.bootstrap()
    bench.state.drop_note("label-studio.bootstrapped")
    bench.scripted("SELECT * FROM project", then="raise SystemExit(1)")

    with pytest.raises(ServiceFailed):
        bench.bootstrap()

    assert [] == bench.ask("SELECT * FROM project", label_studio.DATABASE)


def test_a_bootstrap_that_is_done_is_not_repeated(bench: Bench) -> None:
    bench.scripted("CREATE TABLE project (id int)")
    bench.bootstrap()
    bench.scripted("CREATE TABLE project (id int)")  # would fail: it is there

    bench.bootstrap()


def test_another_version_changes_the_database_where_it_is(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.scripted("CREATE TABLE project (id int)")
    bench.bootstrap()
    monkeypatch.setattr(label_studio, "lock_hash", lambda: "another")
    bench.scripted("ALTER TABLE project ADD title text")

    bench.bootstrap()

    assert [] == bench.ask("SELECT title FROM project", label_studio.DATABASE)
    assert "another" == bench.state.note("label-studio.bootstrapped")["lock"]
