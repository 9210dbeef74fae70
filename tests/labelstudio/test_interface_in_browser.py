"""The interface as a reviewer sees it: a real Label Studio in a real Chromium."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from pydantic import SecretStr

from hitl.labelstudio import LabelStudioClient, TaskContent, project_spec, task_data
from hitl.records import EntryId, Stage
from tests.builders import make_policy
from tests.conftest import RunningLabelStudio
from tests.labelstudio.people import RealPeople

pytestmark = [pytest.mark.browser, pytest.mark.e2e]

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
FLAGS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-background-networking"]
SUBMIT = "[data-testid=bottombar-submit-button]"
NASTY = """<script>document.title='taken'</script><img src=x onerror="document.title='taken'">
  <b>bold?</b> & $text"""
POLICY = make_policy(
    instructions="Judge what is <written>.",
    category=[
        {"id": "hate", "title": "Hate", "definition": "Attacks a <group>.", "hotkey": "h"},
        {"id": "spam", "title": "Spam, scams", "definition": "Sells for $100.", "hotkey": "s"},
    ],
)


@dataclass
class Desk:
    """A reviewer's open page, with the first task served."""

    page: Any

    def submit(self) -> dict[str, list[str]]:
        """Submit, and what was sent: question -> chosen."""
        with self.page.expect_response(
            lambda one: "/annotations" in one.url and one.request.method == "POST"
        ) as sent:
            self.page.click(SUBMIT)
        assert sent.value.status == 201
        return {
            part["from_name"]: part["value"].get("choices") or part["value"].get("text")
            for part in sent.value.json()["result"]
        }


@pytest.fixture
def desk(label_studio_server: RunningLabelStudio) -> Iterator[Desk]:
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine; install Debian's `chromium`")
    from playwright.sync_api import sync_playwright

    people = RealPeople(label_studio_server.url, label_studio_server.token)
    client = LabelStudioClient(label_studio_server.url, SecretStr(label_studio_server.token))
    spec = replace(project_spec(POLICY, Stage.REVIEW), marker=f"test {uuid.uuid4()}")
    project_id = client.ensure_project(spec)
    content = TaskContent(EntryId(1), "i1", NASTY, surface="<i>posts</i>", language="en")
    client.import_tasks(
        project_id,
        [task_data(content, push_id=uuid.uuid4(), stage=Stage.REVIEW, policy=POLICY)],
    )
    reviewer = people.join("eve")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        context = browser.new_context(viewport={"width": 1400, "height": 950})
        context.add_cookies(people.cookies(reviewer))
        page = context.new_page()
        page.goto(f"{label_studio_server.url}/projects/{project_id}/data?labeling=1")
        page.wait_for_selector(SUBMIT)
        page.wait_for_selector(".hitl-content .lsf-richtext__line")
        yield Desk(page)
        browser.close()
    people.delete_project(project_id)
    people.close()


def test_markup_in_content_and_policy_is_read_and_never_run(desk: Desk) -> None:
    shown = desk.page.inner_text(".hitl-content")

    assert NASTY.split() == shown.split()
    assert "taken" != desk.page.title()
    assert 0 == desk.page.locator(".hitl-content img, .hitl-content b").count()
    words = desk.page.inner_text(".hitl").replace("\N{WORD JOINER}", "")
    for expected in (
        "<i>posts</i> · en",
        "Judge what is <written>.",
        "Attacks a <group>.",
        "Sells for $100.",
    ):
        assert expected in words


def test_hotkeys_answer_with_the_ids_of_the_policy(desk: Desk) -> None:
    desk.page.keyboard.press("s")
    desk.page.get_by_text("How severe is it?").wait_for(state="visible")
    desk.page.keyboard.press("3")
    desk.page.keyboard.press("Shift+H")
    desk.page.locator("textarea").first.fill("sells")

    sent = desk.submit()

    assert {
        "violations": ["spam"],
        "severity": ["3"],
        "cannot_tell": ["hate"],
        "rationale": ["sells"],
    } == sent


def test_none_of_these_hides_severity_and_does_not_send_it(desk: Desk) -> None:
    desk.page.keyboard.press("h")
    desk.page.get_by_text("How severe is it?").wait_for(state="visible")
    desk.page.keyboard.press("2")
    desk.page.keyboard.press("h")
    desk.page.keyboard.press("0")
    desk.page.get_by_text("How severe is it?").wait_for(state="hidden")

    assert {"violations": ["none"]} == desk.submit()


def test_an_answer_is_required_and_the_reviewer_is_told_so(desk: Desk) -> None:
    assert desk.page.is_disabled(SUBMIT)
    desk.page.keyboard.press("Shift+H")
    desk.page.click(SUBMIT)

    desk.page.get_by_text("Choose the rules it breaks, or none of these.").wait_for()
