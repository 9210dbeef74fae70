"""Simulated reviewers at a real Label Studio, through its forms, its stream and its API."""

from __future__ import annotations

import time
from uuid import UUID, uuid4

import pytest
from pydantic import SecretStr

from flows.demo.answers import invent_reviewers
from flows.demo.reviewers import review, seated
from hitl import defaults
from hitl.labelstudio import LabelStudioClient, project_spec, task_data
from hitl.labelstudio.payloads import KnownTask, TaskContent, annotations_of, vote_from
from hitl.policy import load_policy
from hitl.records import AnnotationKind, EntryId, Stage, Vote
from tests.conftest import RunningLabelStudio
from tests.demo.builders import make_judged

TASKS = 60


@pytest.mark.e2e
def test_five_accounts_answer_a_stream_once_each_as_gold_says(
    label_studio_server: RunningLabelStudio,
) -> None:
    url, token = label_studio_server.url, SecretStr(label_studio_server.token)
    # Another version is another project: a server that is used again starts an empty one.
    policy = load_policy(defaults.folder() / "policy.toml").model_copy(
        update={"version": uuid4().hex[:8]}
    )
    client = LabelStudioClient(url, token)
    project_id = client.ensure_project(project_spec(policy, Stage.REVIEW))
    push_id: UUID = uuid4()
    client.import_tasks(
        project_id,
        [
            task_data(
                TaskContent(EntryId(k), f"i{k}", f"text {k}", surface="comments"),
                push_id=push_id,
                stage=Stage.REVIEW,
                policy=policy,
            )
            for k in range(TASKS)
        ],
    )
    gold = [[float(k % 4 == c) for c in range(4)] for k in range(TASKS)]
    gold[0][2] = float("nan")
    passwords = [SecretStr(f"pass-{push_id.hex[:12]}-{k}") for k in range(5)]
    reviewers = invent_reviewers(passwords, seed=int(time.time()))
    # Accounts outlive a test on a server that is used again.
    reviewers = tuple(
        type(one)(**{**vars(one), "email": f"{one.name}.{push_id.hex[:8]}@reviewers.example"})
        for one in reviewers
    )

    with seated(url, token, reviewers) as crew:
        report = review(crew, project_id, make_judged(gold), policy=policy)
    with seated(url, token, reviewers[:1]) as crew:
        again = review(crew, project_id, make_judged(gold), policy=policy)

    tasks = client.tasks_of_push(project_id, push_id)
    whole = client.tasks(project_id, [one.task_id for one in tasks])
    accounts = {one.user_id: one.email for one in client.accounts()}
    seen: dict[str, Vote] = {}
    answered_by = set()
    for task in whole:
        entry_id = EntryId(int(task.data["entry_id"]))
        known = KnownTask(task.task_id, project_id, entry_id, Stage.REVIEW, push_id)
        for annotation in annotations_of(task, known):
            answered_by.add(accounts[int(annotation.reviewer)])
            if annotation.kind is AnnotationKind.SUBMITTED:
                vote = vote_from(annotation, policy)
                assert isinstance(vote, Vote), vote
                assert str(task.data["item_id"]) not in seen
                seen[str(task.data["item_id"])] = vote
                assert annotation.lead_seconds is not None
    assert TASKS == report.submitted == len(seen)
    assert 0 == again.submitted
    assert {one.email for one in reviewers} == answered_by
    assert {"hate", "harassment", "selfharm"} == set(seen["i0"].answers)
    right = [
        seen[f"i{k}"].answers[category] == bool(gold[k][c])
        for k in range(1, TASKS)
        for c, category in enumerate(policy.category_ids)
    ]
    assert sum(right) / len(right) > 0.95
