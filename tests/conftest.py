"""Fixtures that many rooms' tests share: a real Postgres, and a fresh migrated database a test."""

from __future__ import annotations

import os
import signal
import tempfile
import uuid
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import structlog
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.engine import make_url

from hitl.db import connect, migrate
from hitl.services import Stack
from hitl.services.installation import find_installed
from hitl.services.postgres import PostgresServer
from hitl.settings import load_settings

TEMPLATE = "hitl_template"


def pytest_configure() -> None:
    """What was started in the background, as by nohup, ignores Ctrl-C, and so would its children:
    the servers that tests interrupt."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist looks at the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Unit tests first, then those with a Postgres, then the real servers, the browser last.

    Where several processes share the work, one has all that need real servers.
    """

    def weight(item: pytest.Item) -> int:
        for rank, name in ((4, "browser"), (3, "e2e"), (2, "postgres"), (1, "slow")):
            if item.get_closest_marker(name):
                return rank
        return 0

    items.sort(key=weight)
    for item in items:
        if weight(item) >= 3:
            item.add_marker(pytest.mark.xdist_group("servers"))


@pytest.fixture(autouse=True)
def _logs_as_they_come() -> Iterator[None]:
    """A test that configures logging, as every command does, does so for itself alone."""
    yield
    structlog.reset_defaults()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where HITL_TEST_REQUIRE_E2E is set, an end-to-end test that skips has failed."""
    report = yield
    is_e2e = item.get_closest_marker("e2e") or item.get_closest_marker("browser")
    if report.skipped and is_e2e and os.environ.get("HITL_TEST_REQUIRE_E2E"):
        report.outcome = "failed"
        report.longrepr = f"an end-to-end test may not skip here: {report.longrepr}"
    return report


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The URL of a Postgres server's `postgres` database, owned by this test session.

    HITL_TEST_POSTGRES names one that already runs, for a quick round while developing.
    """
    if given := os.environ.get("HITL_TEST_POSTGRES"):
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="hitl-test-", ignore_cleanup_errors=True) as folder:
        # Nothing of a test outlives it, so nothing need reach the disk.
        server = PostgresServer.start(Path(folder) / "postgres", settings={"fsync": "off"})
        try:
            yield server.url("postgres")
        finally:
            server.remove()


@pytest.fixture(scope="session")
def template_database(postgres_url: str) -> str:
    """A migrated database that tests copy, which is ten times quicker than migrating."""
    name = f"{TEMPLATE}_{uuid.uuid4().hex[:8]}"
    _execute(postgres_url, f'CREATE DATABASE "{name}"')
    engine = connect(_with_database(postgres_url, name))
    migrate(engine)
    engine.dispose()
    return name


@pytest.fixture
def database_url(postgres_url: str, template_database: str) -> Iterator[str]:
    """A fresh database at this version's schema, dropped afterwards."""
    name = f"t_{uuid.uuid4().hex[:12]}"
    _execute(postgres_url, f'CREATE DATABASE "{name}" TEMPLATE "{template_database}"')
    yield _with_database(postgres_url, name)
    _execute(postgres_url, f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """An engine on the fresh database."""
    made = connect(database_url)
    yield made
    made.dispose()


@pytest.fixture
def tx(engine: Engine) -> Iterator[Connection]:
    """One open transaction on the fresh database, rolled back at the end."""
    with engine.connect() as connection:
        yield connection
        connection.rollback()


@pytest.fixture(scope="session")
def label_studio_venv() -> Path:
    """HITL_LABEL_STUDIO_VENV, or the one that `python -m hitl.services.install` made."""
    settings = load_settings()
    found = find_installed(settings.state_folder, settings.label_studio_venv)
    if found is None:
        pytest.skip("Label Studio is not installed: run python -m hitl.services.install first")
    return found


@dataclass(frozen=True)
class RunningLabelStudio:
    """Where it is, and its administrator's token."""

    url: str
    token: str


@pytest.fixture(scope="session")
def label_studio_server(label_studio_venv: Path) -> Iterator[RunningLabelStudio]:
    """One real Label Studio for the session, started only if a test asks for it.

    HITL_TEST_LABEL_STUDIO="URL TOKEN" names one that already runs, for a quick round.
    """
    if given := os.environ.get("HITL_TEST_LABEL_STUDIO"):
        yield RunningLabelStudio(*given.split())
        return
    # A short path: it holds the socket of a Postgres.
    with tempfile.TemporaryDirectory(prefix="hitl-ls-", ignore_cleanup_errors=True) as folder:
        stack = Stack(
            Path(folder) / "state",
            prefect=False,
            label_studio_venv=label_studio_venv,
            webhook_url="http://127.0.0.1/",  # so that a test may listen there
        )
        try:
            endpoints = stack.up()
            assert endpoints.label_studio_url is not None
            assert endpoints.label_studio_token is not None
            yield RunningLabelStudio(
                endpoints.label_studio_url, endpoints.label_studio_token.get_secret_value()
            )
        finally:
            stack.remove()  # root's database may lie outside the folder


def _with_database(url: str, name: str) -> str:
    return make_url(url).set(database=name).render_as_string(hide_password=False)


def _execute(url: str, statement: str) -> None:
    engine = create_engine(
        make_url(url).set(drivername="postgresql+psycopg2"), isolation_level="AUTOCOMMIT"
    )
    with engine.connect() as connection:
        connection.execute(text(statement))
    engine.dispose()
