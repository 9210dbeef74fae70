"""What reviewers do in a real Label Studio, through the API that their browser uses."""

from __future__ import annotations

import re
import uuid
from typing import Any

import httpx

PASSWORD = "Passw0rd!23"


class RealPeople:
    """The administrator's and two reviewers' hands. Mirrors the fake's `answer`, `edit`, ..."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url
        self.admin = httpx.Client(
            base_url=url, headers={"Authorization": f"Token {token}"}, timeout=600, trust_env=False
        )
        self._sessions: dict[int, httpx.Client] = {}

    def join(self, name: str) -> int:
        """A new account, logged in; its user id."""
        email = f"{name}-{uuid.uuid4().hex[:8]}@example.com"
        invitation = self.admin.get("/api/invite").json()["invite_url"]
        session = httpx.Client(base_url=self.url, timeout=60, trust_env=False)
        page = session.get(invitation).text
        found = re.search(r'csrfmiddlewaretoken" value="([^"]+)', page)
        assert found is not None
        answer = session.post(
            invitation,
            data={"email": email, "password": PASSWORD, "csrfmiddlewaretoken": found[1]},
            headers={"Referer": self.url + invitation},
        )
        assert answer.status_code == 302, "the account could not be made"
        user_id = int(session.get("/api/current-user/whoami").json()["id"])
        self._sessions[user_id] = session
        return user_id

    def close(self) -> None:
        """Hang up."""
        for one in (self.admin, *self._sessions.values()):
            one.close()

    def answer(
        self, task_id: int, result: list[dict[str, Any]], *, reviewer: int = 1, skip: bool = False
    ) -> int:
        """Submit, or skip."""
        made = self.hands(reviewer).post(
            f"/api/tasks/{task_id}/annotations/",
            json={"result": result, "was_cancelled": skip, "lead_time": 2.5},
        )
        assert made.status_code == 201, made.status_code
        return int(made.json()["id"])

    def edit(
        self, annotation_id: int, result: list[dict[str, Any]] | None = None, *, skip: bool = False
    ) -> None:
        """Change an answer, skip it after all, or take the skip back."""
        body: dict[str, Any] = {"was_cancelled": skip}
        if result is not None:
            body["result"] = result
        self.admin.patch(f"/api/annotations/{annotation_id}/", json=body).raise_for_status()

    def take_back(self, annotation_id: int) -> None:
        """Delete an answer."""
        self.admin.delete(f"/api/annotations/{annotation_id}/").raise_for_status()

    def next_task(self, project_id: int, *, reviewer: int) -> int | None:
        """The task that Label Studio serves this person now."""
        served = self.hands(reviewer).get(f"/api/projects/{project_id}/next")
        return int(served.json()["id"]) if served.status_code == 200 else None

    def cookies(self, reviewer: int) -> list[dict[str, Any]]:
        """What makes a browser be logged in as this person."""
        jar = self._sessions[reviewer].cookies.jar
        return [{"name": one.name, "value": one.value, "url": self.url} for one in jar]

    def delete_project(self, project_id: int) -> None:
        """Delete a project with all that is in it."""
        self.admin.delete(f"/api/projects/{project_id}/")

    def project(self, project_id: int) -> dict[str, Any]:
        """A project as the API shows it."""
        found: dict[str, Any] = self.admin.get(f"/api/projects/{project_id}/").json()
        return found

    def hands(self, reviewer: int) -> httpx.Client:
        """The session of this person; the administrator's for anybody else."""
        return self._sessions.get(reviewer, self.admin)
