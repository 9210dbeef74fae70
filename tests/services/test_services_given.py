"""Servers of somebody else's are asked as the flows will ask them, and no secret is shown."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from hitl.services import Endpoints, given, store
from hitl.services.errors import NoDatabaseURL

PERSONAL = "head.body.sign"


class _LabelStudio(http.server.BaseHTTPRequestHandler):
    """Answers the health page to anybody, and the rest to two tokens."""

    def do_GET(self) -> None:
        may = self.headers.get("Authorization") == "Token good"
        self._answer(self.path == "/health" or (may and self.path == "/api/current-user/whoami"))

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self._answer(self.path == "/api/token/refresh" and PERSONAL in body)

    def _answer(self, may: bool) -> None:
        self.send_response(200 if may else 401)
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def url() -> Iterator[str]:
    server = http.server.HTTPServer(("127.0.0.1", 0), _LabelStudio)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def label_studio(url: str, token: str | None) -> str:
    """What is said of this Label Studio."""
    secret = None if token is None else SecretStr(token)
    told = Endpoints(label_studio_url=url, label_studio_token=secret)
    return given.statuses(told)["label-studio"].detail


@pytest.mark.parametrize(
    ("token", "said"),
    [
        ("good", "answers"),
        (PERSONAL, "answers"),
        ("bad", "refuses the token; mend HITL_LABEL_STUDIO_TOKEN"),
        ("other.personal.one", "refuses the token; mend HITL_LABEL_STUDIO_TOKEN"),
        (None, "has no token; set HITL_LABEL_STUDIO_TOKEN"),
    ],
)
def test_a_label_studio_answers_only_if_it_takes_our_token(
    url: str, token: str | None, said: str
) -> None:
    assert said == label_studio(url, token)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://127.0.0.1:9", "cannot be reached (Connection refused)"),
        ("http://nowhere.invalid", "cannot be reached ("),
        ("http://127.0.0.1:abc", "is not a URL (http://host:port)"),
    ],
)
def test_a_server_that_cannot_be_reached_is_told_with_the_cause(url: str, said: str) -> None:
    prefect = given.statuses(Endpoints(prefect_api_url=url))["prefect"].detail

    assert prefect.startswith(said)
    assert said.startswith("cannot be reached (C") or "refused" not in prefect


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:hunter2@h:port/d",
        "postgresql+psycopg2://u:hunter@2@h/d",
        "postgresql://u:hun ter2@h:5432:1/d",
        "mysql://u:hunter2@h/d",
        "hunter2",
        "host=h password=hunter2 '",
    ],
)
def test_what_is_no_database_url_is_never_shown(url: str) -> None:
    status = given.statuses(Endpoints(database_url=SecretStr(url)))["database"]

    assert "not a database URL (postgresql://user:password@host:port/name)" == status.detail
    with pytest.raises(NoDatabaseURL) as refused:
        store.sessions(url, database="d")
    assert "hunter" not in str(refused.value)
    assert refused.value.__cause__ is None


def test_what_a_database_url_asks_of_libpq_reaches_it(tmp_path: Path) -> None:
    told = store.arguments("postgresql+psycopg2://u:p%40ss@h:5433/d?sslmode=require&options=-cx")

    assert {
        "host": "h", "port": 5433, "user": "u", "password": "p@ss", "dbname": "d",
        "sslmode": "require",
    } == told  # fmt: skip
