"""What the servers are told, and what of our own environment they never see."""

from __future__ import annotations

from pathlib import Path

import pytest

from hitl.services import label_studio, prefect_server
from hitl.services.state import StateFolder

STRAY = {
    "PATH": "/bin",
    "HOST": "http://elsewhere",
    "PORT": "1",
    "USERNAME": "someone",
    "PASSWORD": "theirs",
    "DEBUG": "true",
    "HEARTEX_HOST": "http://elsewhere",
    "LABEL_STUDIO_HOST": "http://elsewhere",
    "DJANGO_SETTINGS_MODULE": "other",
    "POSTGRE_HOST": "elsewhere",
    "PREFECT_API_URL": "http://elsewhere",
    "PREFECT_SERVER_API_PORT": "1",
    "PYTHONPATH": "/elsewhere",
    "http_proxy": "http://elsewhere",
}


@pytest.fixture
def told(tmp_path: Path) -> dict[str, str]:
    state = StateFolder(tmp_path / "state").prepare()
    return label_studio.environment(state, postgres_port=1234, own=STRAY, task_lock_seconds=900)


def test_label_studio_sees_nothing_stray(told: dict[str, str]) -> None:
    stray = set(told) & {"HOST", "PORT", "USERNAME", "PASSWORD", "DEBUG", "HEARTEX_HOST"}

    assert set() == stray
    assert "PYTHONPATH" not in told
    assert "DJANGO_SETTINGS_MODULE" not in told
    assert not any("elsewhere" in value for value in told.values())
    assert "/bin" == told["PATH"]


def test_label_studio_calls_nobody(told: dict[str, str]) -> None:
    assert "false" == told["LABEL_STUDIO_COLLECT_ANALYTICS"]
    assert "false" == told["LABEL_STUDIO_LATEST_VERSION_CHECK"]
    assert "true" == told["LABEL_STUDIO_FEATURE_FLAGS_OFFLINE"]
    assert ("", "") == (told["LABEL_STUDIO_SENTRY_DSN"], told["LABEL_STUDIO_FRONTEND_SENTRY_DSN"])


def test_label_studio_boots_on_a_postgres_without_contrib(told: dict[str, str]) -> None:
    assert "full" == told["SKIP_TRIGRAM_EXTENSION"]
    assert "full" == told["SKIP_BTREE_GIN_EXTENSION"]
    assert ("127.0.0.1", "1234") == (told["POSTGRE_HOST"], told["POSTGRE_PORT"])


def test_strangers_cannot_sign_up_nor_read_files(told: dict[str, str]) -> None:
    assert "true" == told["LABEL_STUDIO_DISABLE_SIGNUP_WITHOUT_LINK"]
    assert "false" == told["LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED"]
    assert told["LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT"].endswith("label-studio/media")


def test_a_left_task_is_given_to_another_after_the_lock(told: dict[str, str]) -> None:
    assert "900" == told["LABEL_STUDIO_TASK_LOCK_TTL"]


def test_everything_it_writes_lies_in_the_state_folder(
    told: dict[str, str], tmp_path: Path
) -> None:
    for name in ("HOME", "LABEL_STUDIO_BASE_DATA_DIR"):
        assert told[name].startswith(str(tmp_path / "state"))


def test_label_studio_is_no_superuser_of_our_database(told: dict[str, str]) -> None:
    assert ("labelstudio", "labelstudio") == (told["POSTGRE_USER"], told["POSTGRE_NAME"])


def test_it_listens_on_loopback_only_and_does_not_shadow_its_own_package(tmp_path: Path) -> None:
    state = StateFolder(tmp_path / "state").prepare()
    package = tmp_path / "venv" / "lib" / "python3.11" / "site-packages" / "label_studio"
    package.mkdir(parents=True)
    (package / "server.py").touch()

    launch = label_studio.launch(
        state, tmp_path / "venv", 8181, postgres_port=1, task_lock_seconds=1
    )

    command = [str(part) for part in launch.command]
    scripts = Path(launch.env["PYTHONPATH"])
    assert "127.0.0.1:8181" == command[command.index("--bind") + 1]
    assert package == launch.cwd
    assert {"__init__.py", "hitl_wsgi.py", "hitl_bootstrap.py"} == {
        path.name for path in scripts.glob("*.py")
    }


def test_prefect_sees_nothing_stray_and_calls_nobody(tmp_path: Path) -> None:
    told = prefect_server.environment(tmp_path, 4321, own=STRAY)

    assert not any("elsewhere" in value for value in told.values())
    assert "1" == told["DO_NOT_TRACK"]
    assert "false" == told["PREFECT_SERVER_ANALYTICS_ENABLED"]
    assert str(tmp_path) == told["PREFECT_HOME"]


def test_prefects_page_calls_the_port_that_its_server_has(tmp_path: Path) -> None:
    told = prefect_server.environment(tmp_path, 4321, own={})

    assert "http://127.0.0.1:4321/api" == told["PREFECT_SERVER_UI_API_URL"]
    assert "4321" == told["PREFECT_SERVER_API_PORT"]
    assert "127.0.0.1" == told["PREFECT_SERVER_API_HOST"]
