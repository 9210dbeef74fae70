"""Settings name the variable and never its value; logs withhold content."""

from __future__ import annotations

import pytest

from hitl import logs
from hitl.db import BadDatabaseURL, connect
from hitl.settings import BadSettings, load_settings


def test_a_wrong_variable_is_named_without_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HITL_REQUEST_TIMEOUT_SECONDS", "hunter2")

    with pytest.raises(BadSettings) as caught:
        load_settings()

    assert "HITL_REQUEST_TIMEOUT_SECONDS" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_secrets_do_not_show_when_settings_are_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HITL_DATABASE_URL", "postgresql://u:hunter2@h/d")
    monkeypatch.setenv("HITL_LABEL_STUDIO_TOKEN", "hunter3")

    assert "hunter" not in repr(load_settings())


@pytest.mark.parametrize("url", ["mysql://u:hunter2@h/d", "hunter2 and no url"])
def test_a_wrong_database_url_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(BadDatabaseURL) as caught:
        connect(url)

    assert "write postgresql+psycopg2://" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_log_event_with_content_withholds_it(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(level="INFO", as_json=True)

    logs.get("test").info("item_seen", item_id="i1", text="the canary sings")

    written = capsys.readouterr().err
    assert "i1" in written
    assert "canary" not in written


@pytest.mark.parametrize(
    "field",
    [
        {"item_text": "canary"},
        {"database_url": "canary"},
        {"API_TOKEN": "canary"},
        {"answer": {"item": {"rationale": "canary"}}},
        {"rows": [{"text": "canary"}]},
    ],
)
def test_content_is_withheld_however_deep_and_under_longer_names(
    capsys: pytest.CaptureFixture[str], field: dict[str, object]
) -> None:
    logs.configure(level="INFO", as_json=True)

    logs.get("test").info("item_seen", content_hash="c0ffee", **field)

    written = capsys.readouterr().err
    assert "c0ffee" in written
    assert "canary" not in written


@pytest.mark.parametrize("as_json", [True, False])
def test_a_traceback_in_a_log_names_lines_and_shows_no_locals(
    capsys: pytest.CaptureFixture[str], as_json: bool
) -> None:
    logs.configure(level="INFO", as_json=as_json)
    words = " ".join(["the", "canary", "sings"])

    try:
        raise RuntimeError(f"{len(words)} letters")
    except RuntimeError:
        logs.get("test").error("it_broke", exc_info=True)

    written = capsys.readouterr().err
    assert "16 letters" in written
    assert "canary sings" not in written
