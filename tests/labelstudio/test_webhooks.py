"""Label Studio is asked to tell of answers: once a project, as the settings say now."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from hitl.labelstudio import (
    SECRET_HEADER,
    LabelStudioClient,
    LabelStudioUnavailable,
    Webhook,
    WebhookRefused,
    project_spec,
)
from hitl.records import Stage
from tests.builders import make_policy
from tests.conftest import RunningLabelStudio
from tests.labelstudio.test_client import Scripted, client_of, scripted

__all__ = ["scripted"]

# A public address, which nobody calls: no answer is given in these tests.
RECEIVER = Webhook(
    "http://192.31.196.1:9/webhooks/label-studio", SecretStr("a-long-webhook-secret")
)


@dataclass
class Place:
    """A project of this test's own on a real server."""

    client: LabelStudioClient
    http: httpx.Client
    project_id: int

    def webhooks(self) -> list[dict[str, Any]]:
        listed = self.http.get("/api/webhooks/", params={"project": self.project_id}).json()
        return sorted(listed, key=lambda one: int(one["id"]))

    def add(self, url: str, **headers: str) -> None:
        body = {"url": url, "project": self.project_id, "headers": headers}
        assert 201 == self.http.post("/api/webhooks/", json=body).status_code


@pytest.fixture
def place(label_studio_server: RunningLabelStudio) -> Iterator[Place]:
    client = LabelStudioClient(label_studio_server.url, SecretStr(label_studio_server.token))
    spec = project_spec(make_policy(), Stage.REVIEW)
    project_id = client.ensure_project(replace(spec, marker=f"test {uuid.uuid4()}"))
    headers = {"Authorization": f"Token {label_studio_server.token}"}
    with httpx.Client(base_url=label_studio_server.url, headers=headers, timeout=60) as http:
        yield Place(client, http, project_id)
        http.delete(f"/api/projects/{project_id}/")


@pytest.mark.e2e
def test_a_project_tells_of_answers_and_their_changes_with_the_secret(place: Place) -> None:
    place.client.ensure_webhook(place.project_id, RECEIVER)

    (made,) = place.webhooks()
    assert RECEIVER.url == made["url"]
    assert {SECRET_HEADER: "a-long-webhook-secret"} == made["headers"]
    assert {"ANNOTATION_CREATED", "ANNOTATION_UPDATED", "ANNOTATIONS_DELETED"} == set(
        made["actions"]
    )
    assert (True, False, True) == (
        made["send_payload"],
        made["send_for_all_actions"],
        made["is_active"],
    )


@pytest.mark.e2e
def test_asking_again_makes_no_second_one_and_writes_nothing(place: Place) -> None:
    place.client.ensure_webhook(place.project_id, RECEIVER)
    before = place.webhooks()

    place.client.ensure_webhook(place.project_id, RECEIVER)

    assert before == place.webhooks()


@pytest.mark.e2e
def test_a_new_address_or_secret_takes_the_old_ones_place(place: Place) -> None:
    place.client.ensure_webhook(place.project_id, RECEIVER)
    place.add("http://192.31.196.2/double", **{SECRET_HEADER: "another"})
    place.add("http://192.31.196.3/theirs", **{"X-Theirs": "1"})

    place.client.ensure_webhook(
        place.project_id, Webhook("http://192.31.196.9/new", SecretStr("a-new-webhook-secret"))
    )

    found = place.webhooks()
    assert ["http://192.31.196.9/new", "http://192.31.196.3/theirs"] == [
        one["url"] for one in found
    ]
    assert {SECRET_HEADER: "a-new-webhook-secret"} == found[0]["headers"]


@pytest.mark.e2e
def test_an_address_that_it_may_not_call_is_refused_as_such_and_not_as_the_token(
    place: Place,
) -> None:
    # The server of these tests may call 127.0.0.1, and no other address of this machine.
    private = replace(RECEIVER, url="http://127.0.0.17:9/webhooks/label-studio")

    with pytest.raises(WebhookRefused, match=r"may not call http://127\.0\.0\.17:9/") as failure:
        place.client.ensure_webhook(place.project_id, private)

    assert "HITL_WEBHOOK_URL" in str(failure.value)
    assert "a-long-webhook-secret" not in str(failure.value)
    assert [] == place.webhooks()


def test_what_is_no_list_of_webhooks_is_another_server(scripted: Scripted) -> None:
    scripted.body = json.dumps({"detail": "private words"})

    with pytest.raises(LabelStudioUnavailable, match="something else than Label Studio"):
        client_of(scripted.url).ensure_webhook(1, RECEIVER)
