"""What the bridge relies on, kept alike by the fake and by a real Label Studio."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from pydantic import SecretStr

from hitl.labelstudio import (
    ImportRefused,
    LabelStudio,
    LabelStudioClient,
    ProjectGone,
    ProjectIsAnother,
    ProjectSpec,
    SeenTask,
    TaskContent,
    project_spec,
    task_data,
)
from hitl.records import EntryId, Stage
from tests.builders import make_policy
from tests.faults.killing import seed_of
from tests.faults.proxy import Fault, Proxy, at_random
from tests.labelstudio.fake import FakeLabelStudio, chose
from tests.labelstudio.people import RealPeople

POLICY = make_policy()
NASTY = "<script>document.title='x'</script> & \"quotes\" $text \u2028 \U0001f600\n\n  end"


@dataclass
class Room:
    """A server, people who use it, and a project of this test's own."""

    server: LabelStudio
    people: Any
    spec: ProjectSpec
    project_id: int

    def push(self, *entry_ids: int, text: str = "text", push_id: UUID | None = None) -> list[int]:
        """Import a task an entry; the ids they got."""
        push_id = push_id or uuid.uuid4()
        self.server.import_tasks(
            self.project_id,
            [
                task_data(
                    TaskContent(EntryId(one), f"i{one}", text),
                    push_id=push_id,
                    stage=Stage.REVIEW,
                    policy=POLICY,
                )
                for one in entry_ids
            ],
        )
        return [one.task_id for one in self.server.tasks_of_push(self.project_id, push_id)]

    def changed(self, since: Any = None) -> list[SeenTask]:
        """Everything a poll shows."""
        pages = list(self.server.tasks_updated_since(self.project_id, since))
        assert [False] * (len(pages) - 1) + [True] == [page.is_last for page in pages]
        return [task for page in pages for task in page.tasks]

    def marked(self, **more: Any) -> list[SeenTask]:
        """Everything a sweep shows."""
        pages = list(self.server.marks(self.project_id, **more))
        assert [False] * (len(pages) - 1) + [True] == [page.is_last for page in pages]
        return [task for page in pages for task in page.tasks]


@pytest.fixture(
    params=[
        "fake",
        pytest.param("real", marks=pytest.mark.e2e),
        # With every second request late by a moment: no promise may rest on how quick a reply is.
        pytest.param("through a proxy", marks=pytest.mark.e2e),
    ]
)
def room(request: pytest.FixtureRequest) -> Iterator[Room]:
    # A marker of its own keeps tests that share a server apart.
    spec = replace(project_spec(POLICY, Stage.REVIEW), marker=f"test {uuid.uuid4()}")
    if request.param == "fake":
        fake = FakeLabelStudio()
        yield Room(fake, fake, spec, fake.ensure_project(spec))
        return
    running = request.getfixturevalue("label_studio_server")
    people = RealPeople(running.url, running.token)
    slow = at_random(seed_of("promises"), share=0.5, among=(Fault.DELAY,))
    with Proxy(running.url, choose=slow) as proxy:
        url = running.url if request.param == "real" else proxy.url
        client = LabelStudioClient(url, SecretStr(running.token), timeout_seconds=60)
        project_id = client.ensure_project(spec)
        yield Room(client, people, spec, project_id)
    people.delete_project(project_id)
    people.close()


def test_a_project_is_found_again_by_its_marker_and_not_made_twice(room: Room) -> None:
    assert room.project_id == room.server.ensure_project(room.spec)
    assert room.project_id == room.server.ensure_project(room.spec, project_id=room.project_id)


def test_a_project_takes_on_what_changed(room: Room) -> None:
    room.server.ensure_project(replace(room.spec, overlap=2), project_id=room.project_id)
    first, *_ = room.push(1)
    room.people.answer(first, chose("hate"))

    assert [False] == [one.is_labelled for one in room.changed()]


def test_another_marker_is_another_project(room: Room) -> None:
    with pytest.raises(ProjectIsAnother, match="`somebody else's`"):
        room.server.check_project(room.project_id, marker="somebody else's")
    with pytest.raises(ProjectIsAnother):
        room.server.ensure_project(
            replace(room.spec, marker="somebody else's"), project_id=room.project_id
        )


def test_a_project_that_is_not_there_is_gone(room: Room) -> None:
    with pytest.raises(ProjectGone) as failure:
        room.server.check_project(10**6, marker=room.spec.marker)

    assert not isinstance(failure.value, ProjectIsAnother)
    assert 10**6 == failure.value.project_id
    assert room.server.url in str(failure.value)


def test_tasks_are_found_by_their_push_with_the_data_they_were_given(room: Room) -> None:
    push_id = uuid.uuid4()
    room.push(7, 8, text=NASTY, push_id=push_id)
    room.push(9)

    found = room.server.tasks_of_push(room.project_id, push_id)

    assert [7, 8] == [one.data["entry_id"] for one in found]
    assert {NASTY} == {one.data["text"] for one in found}
    assert [] == room.server.tasks_of_push(room.project_id, uuid.uuid4())


def test_an_import_tells_which_task_is_whose(room: Room) -> None:
    push_id = uuid.uuid4()
    wanted = list(range(300, 0, -1))
    contents = [TaskContent(EntryId(one), f"i{one}", "text") for one in wanted]
    told = room.server.import_tasks(
        room.project_id,
        [task_data(one, push_id=push_id, stage=Stage.REVIEW, policy=POLICY) for one in contents],
    )

    there = room.server.tasks_of_push(room.project_id, push_id)
    last, total = room.server.last_from(room.project_id, there[0].task_id)

    assert told is not None
    assert dict(zip(told, wanted, strict=True)) == {
        one.task_id: one.data["entry_id"] for one in there
    }
    assert last is not None
    assert (told[-1], 1, 300) == (last.task_id, last.data["entry_id"], total)
    assert (None, 0) == room.server.last_from(room.project_id, told[-1] + 1)


def test_tasks_keep_the_order_they_were_pushed_in(room: Room) -> None:
    ids = room.push(5, 3, 4, 1)

    assert [5, 3, 4, 1] == [one.data["entry_id"] for one in room.server.tasks(room.project_id, ids)]


def test_importing_twice_makes_two_tasks_which_is_why_we_look_first(room: Room) -> None:
    push_id = uuid.uuid4()
    room.push(1, push_id=push_id)

    assert 2 == len(room.push(1, push_id=push_id))


def test_one_bad_task_refuses_the_whole_import_and_is_named_without_its_content(
    room: Room,
) -> None:
    push_id = uuid.uuid4()
    good = {"entry_id": 1, "push_id": str(push_id), "text": "a secret", "about": "x"}
    bad = {"entry_id": 2, "push_id": str(push_id), "about": "another secret"}

    with pytest.raises(ImportRefused) as failure:
        room.server.import_tasks(room.project_id, [good, bad])

    assert [2] == failure.value.entry_ids
    assert "secret" not in str(failure.value)
    assert [] == room.server.tasks_of_push(room.project_id, push_id)


def test_an_empty_text_and_a_long_one_can_be_pushed(room: Room) -> None:
    assert 1 == len(room.push(1, text=""))
    assert 1 == len(room.push(2, text="x" * 1_000_000))


def test_an_answer_is_read_as_it_was_given(room: Room) -> None:
    (task_id,) = room.push(1)
    annotation = room.people.answer(task_id, chose("hate", unsure=["spam"], severity="2"))

    (task,) = room.changed()
    (body,) = task.annotations

    assert annotation == body["id"]
    assert chose("hate", unsure=["spam"], severity="2") == body["result"]
    assert (False, 2.5) == (body["was_cancelled"], body["lead_time"])
    assert task.is_labelled
    assert {} == task.data


def test_labels_are_not_checked_by_the_server_which_is_why_we_do(room: Room) -> None:
    (task_id,) = room.push(1)
    room.people.answer(task_id, chose("NOT_A_LABEL"))

    (task,) = room.changed()

    assert ["NOT_A_LABEL"] == task.annotations[0]["result"][0]["value"]["choices"]


@pytest.mark.parametrize("change", ["answer", "edit", "skip", "unskip", "delete", "reopen"])
def test_whatever_happens_to_a_task_moves_its_updated_at(room: Room, change: str) -> None:
    task_id, *_ = room.push(1, 2, 3, 4)
    annotation = room.people.answer(task_id, chose("hate"), skip=change == "unskip")
    before = room.server.newest_update(room.project_id)
    assert before is not None

    if change == "answer":
        room.people.answer(task_id, chose("spam"))
    elif change == "delete":
        room.people.take_back(annotation)
    elif change == "reopen":
        room.server.reopen(task_id, overlap=2)
    else:
        room.people.edit(annotation, chose("spam"), skip=change == "skip")

    assert [task_id] == [one.task_id for one in room.changed(before)]
    after = room.server.newest_update(room.project_id)
    assert after is not None
    assert after > before


def test_an_edit_moves_the_annotations_own_time_and_keeps_its_number(room: Room) -> None:
    (task_id,) = room.push(1)
    annotation = room.people.answer(task_id, chose("hate"))
    (before,) = room.marked()[0].annotations
    room.people.edit(annotation, chose("spam"))

    (after,) = room.marked()[0].annotations

    assert before["id"] == after["id"]
    assert before["updated_at"] < after["updated_at"]


def test_a_skip_is_an_annotation_that_is_cancelled_and_leaves_the_task_open(room: Room) -> None:
    (task_id,) = room.push(1)
    room.people.answer(task_id, [], skip=True)

    (task,) = room.changed()

    assert ([True], False) == (
        [one["was_cancelled"] for one in task.annotations],
        task.is_labelled,
    )


def test_a_deleted_annotation_is_not_shown_and_the_task_is_open_again(room: Room) -> None:
    (task_id,) = room.push(1)
    room.people.take_back(room.people.answer(task_id, chose("hate")))

    (task,) = room.changed()

    assert ((), False) == (task.annotations, task.is_labelled)


def test_marks_show_every_annotation_by_number_and_time_alone(room: Room) -> None:
    first, second, *_ = room.push(1, 2, 3, 4, 5)
    one = room.people.answer(first, chose("hate"))
    two = room.people.answer(first, chose("spam"))
    three = room.people.answer(second, [], skip=True)

    marked = {task.task_id: task for task in room.marked()}

    assert 5 == len(marked)
    assert {one, two} == {body["id"] for body in marked[first].annotations}
    assert [{"id", "updated_at"}] == [set(body) for body in marked[second].annotations]
    assert [three] == [body["id"] for body in marked[second].annotations]
    assert set(marked) - {first} == {task.task_id for task in room.marked(from_task_id=second)}


def test_a_time_without_a_fraction_can_be_asked_for(room: Room) -> None:
    room.push(1)
    newest = room.server.newest_update(room.project_id)
    assert newest is not None
    whole = newest.replace(microsecond=0)

    assert 1 == len(room.changed(whole - timedelta(seconds=1)))
    assert [] == room.changed(whole + timedelta(seconds=1))


def test_an_empty_project_has_no_newest_update_and_one_empty_page(room: Room) -> None:
    assert room.server.newest_update(room.project_id) is None
    assert [] == room.changed()
    assert [] == room.marked()


def test_deleted_tasks_are_absent_and_deleting_them_again_is_no_error(room: Room) -> None:
    first, second = room.push(1, 2)

    room.server.delete_tasks(room.project_id, [first])
    room.server.delete_tasks(room.project_id, [first])
    room.server.delete_tasks(room.project_id, [])

    assert [second] == [one.task_id for one in room.server.tasks(room.project_id, [first, second])]


def test_a_deletion_spares_what_was_updated_after_the_moment_it_names(room: Room) -> None:
    finished, edited, *_ = room.push(1, 2, 3)
    room.people.answer(finished, chose("hate"))
    annotation = room.people.answer(edited, chose("hate"))
    seen = room.server.newest_update(room.project_id)
    room.people.edit(annotation, chose("spam"))

    room.server.delete_tasks(room.project_id, [finished, edited], not_updated_after=seen)

    assert [edited] == [
        one.task_id for one in room.server.tasks(room.project_id, [finished, edited])
    ]
    assert 2 == len(room.marked()), "it deleted what it was not told to"


def test_a_reopened_task_wants_another_persons_answer(room: Room) -> None:
    (task_id,) = room.push(1)
    room.people.answer(task_id, chose("NOT_A_LABEL"))

    room.server.reopen(task_id, overlap=2)

    assert [False] == [one.is_labelled for one in room.changed()]


def test_people_with_an_account_are_listed(room: Room) -> None:
    accounts = room.server.accounts()

    assert accounts == sorted(accounts, key=lambda one: one.user_id)
    assert all("@" in one.email for one in accounts)


def test_it_says_its_version(room: Room) -> None:
    assert room.server.version()
