"""Settings name the variable and never its value; logs withhold content."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hitl import defaults, logs
from hitl.db import BadDatabaseURL, connect
from hitl.policy import BadPolicy, load_policy
from hitl.settings import BadSettings, load_settings


def test_a_wrong_variable_is_named_without_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HITL_REQUEST_TIMEOUT_SECONDS", "hunter2")

    with pytest.raises(BadSettings) as caught:
        load_settings()

    assert "HITL_REQUEST_TIMEOUT_SECONDS" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_secrets_do_not_show_when_settings_are_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HITL_DATABASE_URL", "postgresql://u:hunter2@h/d")
    monkeypatch.setenv("HITL_LABEL_STUDIO_URL", "http://h:80")
    monkeypatch.setenv("HITL_LABEL_STUDIO_TOKEN", "hunter3")

    assert "hunter" not in repr(load_settings())


def test_a_producer_may_have_two_tokens_while_one_takes_the_others_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(
        "HITL_API_TOKENS", f"ranker={'o' * 16}, ranker={'n' * 16}==,scanner={'s' * 16}"
    )

    settings = load_settings()

    assert [("ranker", "o" * 16), ("ranker", "n" * 16 + "=="), ("scanner", "s" * 16)] == [
        (name, token.get_secret_value()) for name, token in settings.producers
    ]
    assert "oooo" not in repr(settings) + repr(settings.producers)


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"HITL_LOG_LEVEL": "verbose"}, "HITL_LOG_LEVEL: Input should be 'DEBUG', 'INFO'"),
        ({"HITL_DATABASE_URL": "postgresql://u:hunter2@h:port/d"}, "HITL_DATABASE_URL: not a data"),
        ({"HITL_DATABASE_URL": "postgresql://u:hunter@2@h/d"}, "percent-encoded"),
        ({"HITL_DATABASE_URL": "mysql://u:hunter2@h/d"}, "HITL_DATABASE_URL: not a database URL"),
        ({"HITL_PREFECT_API_URL": "http://h:abc"}, "HITL_PREFECT_API_URL: not a URL (http://"),
        ({"HITL_PREFECT_API_URL": "h:4200/api"}, "HITL_PREFECT_API_URL: not a URL (http://"),
        ({"HITL_PREFECT_API_URL": "http://u:hunter2@h"}, "leave user and password out of it"),
        ({"HITL_LABEL_STUDIO_URL": "http://h:80"}, "HITL_LABEL_STUDIO_TOKEN: set both"),
        ({"HITL_LABEL_STUDIO_TOKEN": "hunter2"}, "HITL_LABEL_STUDIO_TOKEN: set both, or neither"),
        ({"HITL_LABELSTUDIO_URL": "hunter2"}, "did you mean HITL_LABEL_STUDIO_URL?"),
        ({"HITL_API_TOKENS": "hunter2-hunter2-hunter2"}, "HITL_API_TOKENS: write NAME=TOKEN"),
        ({"HITL_API_TOKENS": "ranker=hunter2"}, "a token 16 to 200"),
        ({"HITL_API_TOKENS": "Ranker!=hunter2-hunter2-hunter2"}, "HITL_API_TOKENS: write NAME"),
        (
            {"HITL_API_TOKENS": "a=hunter2-hunter2-hunter2,b=hunter2-hunter2-hunter2"},
            "the same token stands there twice",
        ),
        ({"HITL_WEBHOOK_SECRET": "hunter2"}, "HITL_WEBHOOK_SECRET: write 16 to 200"),
        ({"HITL_WEBHOOK_URL": "http://h/hook"}, "HITL_WEBHOOK_SECRET: set both, or neither"),
        ({"HITL_ZZZ": "hunter2"}, "HITL_ZZZ: there is no such setting; unset it"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, told: dict[str, str], said: str
) -> None:
    for name, value in told.items():
        monkeypatch.setenv(name, value)

    with pytest.raises(BadSettings) as caught:
        load_settings()

    assert said in str(caught.value)
    assert "hunter" not in str(caught.value) + str(caught.value.__cause__)


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ({"HITL_STATE": ""}, {"state": Path(".hitl")}),
        ({"HITL_POLICY": "", "HITL_RECIPE": ""}, {"policy": None, "recipe": None}),
        ({"HITL_DATABASE_URL": ""}, {"database_url": None}),
        ({"HITL_LABEL_STUDIO_URL": "", "HITL_LABEL_STUDIO_TOKEN": ""}, {"label_studio_url": None}),
        ({"HITL_LOG_LEVEL": "debug"}, {"log_level": "DEBUG"}),
        ({"HITL_TEST_ANYTHING": "1", "HITL_SERVICE": "id:x", "HITL_SHARED_DATA": "x"}, {}),
        ({"HITL_WEB_SERVICE_HOST": "10.0.0.1", "HITL_PORT": "tcp://10.0.0.1:80"}, {}),
    ],
)
def test_an_empty_variable_counts_as_unset_and_others_names_do_not_matter(
    monkeypatch: pytest.MonkeyPatch, told: dict[str, str], shown: dict[str, object]
) -> None:
    for name in [name for name in os.environ if name.startswith("HITL_")]:
        monkeypatch.delenv(name)
    for name, value in told.items():
        monkeypatch.setenv(name, value)

    settings = load_settings()

    assert shown == {name: getattr(settings, name) for name in shown}


def test_a_policy_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadPolicy, match=r"cannot be read \(Is a directory\)"):
        load_policy(tmp_path)


def test_a_byte_order_mark_does_not_spoil_a_file(tmp_path: Path) -> None:
    shipped = (defaults.folder() / "policy.toml").read_text(encoding="utf-8")
    (tmp_path / "policy.toml").write_text(shipped, encoding="utf-8-sig")

    assert load_policy(defaults.folder() / "policy.toml") == load_policy(tmp_path / "policy.toml")


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


def test_a_webhook_needs_both_its_address_and_its_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HITL_WEBHOOK_URL", "http://127.0.0.17:8080/webhooks/label-studio")

    with pytest.raises(BadSettings, match="HITL_WEBHOOK_URL and HITL_WEBHOOK_SECRET: set both"):
        load_settings()

    monkeypatch.setenv("HITL_WEBHOOK_SECRET", "a-long-webhook-secret")
    assert "a-long-webhook-secret" not in repr(load_settings())
