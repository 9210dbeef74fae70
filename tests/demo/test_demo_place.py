"""The demo lives beside a user's own world and never in it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from flows.demo import place
from flows.demo.place import (
    ServersOfYours,
    demo_folders,
    demo_settings,
    enter_environment,
    exports,
    shared_label_studio,
)
from flows.wiring import read_policy, read_recipe
from hitl import defaults
from hitl.policy import load_policy
from hitl.services import Endpoints
from hitl.settings import Settings


def make_settings(folder: Path, **given: Any) -> Settings:
    return Settings(state=folder).model_copy(update=given)


@pytest.mark.parametrize(("is_log", "name"), [(False, "mine-demo"), (True, "mine-log")])
def test_a_demo_has_a_state_folder_beside_the_users_own(
    is_log: bool, name: str, tmp_path: Path
) -> None:
    found = demo_settings(make_settings(tmp_path / "mine"), is_log=is_log)

    assert tmp_path / name == found.state_folder
    assert found.state_folder in demo_folders(tmp_path / "mine")


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ({"database_url": SecretStr("postgresql://u:secret@h/d")}, ["HITL_DATABASE_URL"]),
        (
            {"label_studio_url": "http://h", "label_studio_token": SecretStr("secret")},
            ["HITL_LABEL_STUDIO_URL", "HITL_LABEL_STUDIO_TOKEN"],
        ),
        ({"prefect_api_url": "http://h/api"}, ["HITL_PREFECT_API_URL"]),
    ],
)
def test_it_refuses_to_run_on_servers_of_the_environment(
    given: dict[str, Any], names: list[str], tmp_path: Path
) -> None:
    with pytest.raises(ServersOfYours) as refused:
        demo_settings(make_settings(tmp_path, **given), is_log=False)

    assert names == refused.value.names
    assert "secret" not in str(refused.value)


def test_it_keeps_to_the_policy_that_its_answers_fit(tmp_path: Path) -> None:
    own = make_settings(tmp_path / "mine", policy=Path("p.toml"), recipe=Path("r.toml"))

    found = demo_settings(own, is_log=False)

    assert load_policy(defaults.folder() / "policy.toml") == read_policy(found)
    assert "default" == read_recipe(found).name


def test_inside_a_demos_world_a_demo_goes_on_there_and_makes_none_beside_it(
    tmp_path: Path,
) -> None:
    (tmp_path / "mine-demo" / place.MATERIAL).mkdir(parents=True)

    again = demo_settings(make_settings(tmp_path / "mine-demo"), is_log=False)
    log = demo_settings(make_settings(tmp_path / "mine-demo"), is_log=True)

    assert tmp_path / "mine-demo" == again.state_folder
    assert tmp_path / "mine-log" == log.state_folder


def test_a_real_world_that_is_called_like_a_demo_is_left_alone(tmp_path: Path) -> None:
    found = demo_settings(make_settings(tmp_path / "customer-demo"), is_log=False)

    assert tmp_path / "customer-demo-demo" == found.state_folder


def test_label_studio_is_installed_where_all_can_share_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[Path, Path | None]] = []

    def install(state: Any, *, given: Path | None = None, progress: Any) -> Path:
        asked.append((state.path, given))
        return Path(state.path / "label-studio" / "venv")

    monkeypatch.setattr(place, "ensure_installed", install)

    found = shared_label_studio(make_settings(tmp_path / "mine"), print)

    assert tmp_path / "mine" / "label-studio" / "venv" == found
    # Not given: into a given environment nothing is ever installed.
    assert [(tmp_path / "mine", None)] == asked


def test_an_environment_of_the_users_is_used_as_it_is(tmp_path: Path) -> None:
    own = make_settings(tmp_path / "mine", label_studio_venv=tmp_path / "venv")

    assert tmp_path / "venv" == shared_label_studio(own, print)
    assert not (tmp_path / "mine").exists()


def test_the_printed_exports_point_a_shell_at_the_demo(tmp_path: Path) -> None:
    own = make_settings(tmp_path / "my own")
    demo = demo_settings(own, is_log=False).model_copy(update={"label_studio_venv": tmp_path / "v"})

    assert f"HITL_STATE='{tmp_path}/my own-demo' HITL_LABEL_STUDIO_VENV={tmp_path}/v" == exports(
        own, demo
    )
    assert "" == exports(demo, demo)


def test_the_exports_name_the_policy_where_the_shell_would_read_another(tmp_path: Path) -> None:
    plain, own = make_settings(tmp_path), make_settings(tmp_path, policy=Path("p.toml"))

    assert f"HITL_POLICY={defaults.folder()}/policy.toml" in exports(
        own, demo_settings(own, is_log=False)
    )
    assert "decisions_policy.toml" in exports(plain, demo_settings(plain, is_log=True))


def test_flows_started_by_the_demo_read_the_demos_world(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "environ", {"HITL_STATE": "mine", "PREFECT_HOME": "mine"})
    demo = demo_settings(make_settings(tmp_path / "mine"), is_log=False)

    enter_environment(demo, Endpoints(prefect_api_url="http://h/api"))

    assert str(tmp_path / "mine-demo") == os.environ["HITL_STATE"]
    assert str(demo.policy) == os.environ["HITL_POLICY"]
    assert "http://h/api" == os.environ["PREFECT_API_URL"]
    assert str(tmp_path / "mine-demo" / "prefect-client") == os.environ["PREFECT_HOME"]
