"""A reviewer in a browser: logs in, reads the rules, answers by hotkey; it becomes an example."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from hitl.services import Stack
from tests.e2e.running import hitl

pytestmark = [pytest.mark.browser, pytest.mark.e2e, pytest.mark.timeout(900)]

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
FLAGS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-background-networking"]
SUBMIT, SKIP = "[data-testid=bottombar-submit-button]", "[data-testid=bottombar-skip-button]"
TASK = ".lsf-current-task__task-id"


def rows(database_url: str, query: str, **values: Any) -> list[Any]:
    engine = create_engine(database_url)
    with engine.connect() as connection:
        found = connection.execute(text(query), values).all()
    engine.dispose()
    return list(found)


def answer(page: Any, button: str) -> None:
    """Press a button that sends an annotation, and wait until the server has it."""
    with page.expect_response(
        lambda one: "/annotations" in one.url and one.request.method == "POST"
    ) as sent:
        page.click(button)
    assert 201 == sent.value.status


def test_what_a_reviewer_answers_in_the_browser_becomes_an_example(
    demo: str, environment: dict[str, str]
) -> None:
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine; install Debian's `chromium`")
    from playwright.sync_api import sync_playwright

    hitl(environment, "up", "--no-prefect")
    hitl(environment, "select", "--limit", "10", "--batch", "browser")
    hitl(environment, "dispatch")
    state = Path(environment["HITL_STATE"])
    endpoints = Stack(state, prefect=False).endpoints()
    assert endpoints.database_url is not None
    database = endpoints.database_url.get_secret_value()
    password = json.loads((state / "secrets.json").read_text())["demo_reviewer_0"]
    [(project,)] = rows(
        database, "SELECT project_id FROM labelling_projects WHERE stage = 'review'"
    )

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1400, "height": 950})
        page.goto(f"{endpoints.label_studio_url}/user/login/")
        page.fill("input[name=email]", "alma@reviewers.example")
        page.fill("input[name=password]", password)
        page.click("button[type=submit]")
        page.wait_for_url(lambda url: "/login" not in url)
        page.goto(f"{endpoints.label_studio_url}/projects/{project}/data?labeling=1")
        page.wait_for_selector(SUBMIT)
        page.wait_for_selector(".hitl-content .lsf-richtext__line")
        words = page.inner_text(".hitl").replace("\N{WORD JOINER}", "")
        first = int(page.inner_text(TASK).split()[0].strip("#"))
        page.keyboard.press("h")
        answer(page, SUBMIT)
        page.wait_for_function(
            "([part, old]) => { const shown = document.querySelector(part);"
            " return shown && !shown.innerText.includes(old); }",
            arg=[TASK, str(first)],
        )
        page.wait_for_selector(SUBMIT)
        second = int(page.inner_text(TASK).split()[0].strip("#"))
        answer(page, SKIP)
        browser.close()
    hitl(environment, "collect")

    assert "Attacks or demeans people for who they are" in words
    assert "Judge only what is written" in words
    [(labels, weight)] = rows(
        database,
        "SELECT x.labels, x.example_weight FROM examples x JOIN tasks t USING (entry_id)"
        " WHERE t.task_id = :task",
        task=first,
    )
    assert {"hate": True, "harassment": False, "spam": False, "selfharm": False} == labels
    assert 1.0 == weight
    kinds = rows(
        database,
        "SELECT kind FROM annotations WHERE task_id = :task ORDER BY updated_at DESC LIMIT 1",
        task=second,
    )
    assert [("skipped",)] == kinds
