"""The only file that speaks HTTP to Label Studio, and the only one that imports its SDK."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import httpx
import label_studio_sdk
from label_studio_sdk.core.api_error import ApiError
from pydantic import SecretStr

from hitl.labelstudio.errors import (
    ImportRefused,
    LabelStudioRefused,
    LabelStudioUnavailable,
    ProjectGone,
    ProjectIsAnother,
    RequestRefused,
    WebhookRefused,
)
from hitl.labelstudio.queries import as_set, condition, seen, written
from hitl.labelstudio.server import (
    SECRET_HEADER,
    Account,
    Page,
    ProjectSpec,
    SeenTask,
    Webhook,
)
from hitl.records import EntryId

_PAGE = 200
# An `in_list` filter rides in the URL, which fails somewhere between 500 and 2,000 ids.
_IDS_PER_CALL = 100
# `include` picks fields of the annotations by the same names: without `result` they are marks.
_MARKS = "id,updated_at,is_labeled,annotations"
_BODIES = _MARKS + ",result,completed_by,was_cancelled,created_at,lead_time"


# What a webhook tells of. Drafts and tasks coming or going are no answers.
_TOLD = ("ANNOTATION_CREATED", "ANNOTATION_UPDATED", "ANNOTATIONS_DELETED")


class LabelStudioClient:
    """A Label Studio server over HTTP; keeps the promises of `server.LabelStudio`.

    Args:
        token: of an account there; a legacy token or a personal access token.
        timeout_seconds: how long one request may be silent before it counts as hanging.
    """

    def __init__(self, url: str, token: SecretStr, *, timeout_seconds: float = 60.0) -> None:
        self._url = url.rstrip("/")
        self._timeout_seconds = timeout_seconds
        # Never more than one try: the SDK would by itself repeat a POST that has taken effect.
        try:
            self._sdk = label_studio_sdk.LabelStudio(  # type: ignore[no-untyped-call]
                base_url=self._url,
                api_key=token.get_secret_value(),
                timeout=timeout_seconds,
                max_retries=0,
            )
        except ApiError as cause:  # a personal access token that has run out
            raise LabelStudioRefused(self._url, cause.status_code or 401) from None

    @property
    def url(self) -> str:
        """Where it is, for messages."""
        return self._url

    def version(self) -> str:
        """Its release, such as 1.23.2."""
        return str(self._field(self._get("api/version", "its version"), "release"))

    def ensure_project(self, spec: ProjectSpec, *, project_id: int | None = None) -> int:
        """Create the project, or change what differs from `spec`. Found again by its marker."""
        wanted = {
            "title": spec.title,
            "description": spec.marker,
            "label_config": spec.interface,
            "expert_instruction": spec.instructions,
            "maximum_annotations": spec.overlap,
            # The one order that both keeps ours and respects the locks of other reviewers:
            # uncertainty sampling shuffles, "as displayed" serves one task to two people.
            "sampling": "Sequential sampling",
            # The model's label would arrive ticked, and reviewers follow what is ticked.
            "show_collab_predictions": False,
            "show_skip_button": True,
            "enable_empty_annotation": False,
        }
        if project_id is None:
            project_id = self._project_with(spec.marker)
        if project_id is None:
            made = self._ask("POST", "api/projects/", "a new project", body=wanted)
            return int(self._field(made, "id"))
        now = self._project(project_id, marker=spec.marker, fields=wanted)
        changed = {key: value for key, value in wanted.items() if now.get(key) != value}
        if changed:
            self._ask("PATCH", f"api/projects/{project_id}/", "a project's change", body=changed)
        return project_id

    def ensure_webhook(self, project_id: int, webhook: Webhook) -> None:
        """Make the one webhook of ours be as wanted; those of others are left alone."""
        wanted = {
            "url": webhook.url,
            "headers": {SECRET_HEADER: webhook.secret.get_secret_value()},
            # The number of the task rides in it, and its content with it.
            "send_payload": True,
            "send_for_all_actions": False,
            "actions": list(_TOLD),
            "is_active": True,
        }
        listed = self._get("api/webhooks/", "its webhooks", params={"project": project_id})
        if not isinstance(listed, list):
            raise LabelStudioUnavailable(self._url, "answers something else than Label Studio does")
        ours = [one for one in listed if SECRET_HEADER in (one.get("headers") or {})]
        try:
            if not ours:
                body = {**wanted, "project": project_id}
                self._ask("POST", "api/webhooks/", "a webhook", body=body)
            elif any(as_set(ours[0].get(key)) != as_set(value) for key, value in wanted.items()):
                where = f"api/webhooks/{ours[0]['id']}/"
                self._ask("PATCH", where, "a webhook's change", body=wanted)
        except (LabelStudioRefused, RequestRefused) as cause:
            # The listing was allowed, so it is not the token: the address is refused.
            raise WebhookRefused(self._url, webhook.url, cause.status) from None
        for extra in ours[1:]:
            self._ask("DELETE", f"api/webhooks/{extra['id']}/", "a webhook's removal")

    def check_project(self, project_id: int, *, marker: str) -> None:
        """Raise ProjectGone unless the project is there and carries this marker."""
        self._project(project_id, marker=marker)

    def _project(
        self, project_id: int, *, marker: str, fields: Iterable[str] = ("description",)
    ) -> dict[str, Any]:
        try:
            # Without a choice of fields it counts the project's tasks and answers each time.
            found = self._get(
                f"api/projects/{project_id}/", "a project", params={"include": ",".join(fields)}
            )
            described = self._field(found, "description")
        except RequestRefused as cause:
            if cause.status == 404:
                raise ProjectGone(self._url, project_id, marker) from cause
            raise
        # A server that was set up anew counts from 1 again: the number alone proves nothing.
        if described != marker:
            raise ProjectIsAnother(self._url, project_id, marker)
        return dict(found)

    def _project_with(self, marker: str) -> int | None:
        found = []
        page, more = 1, True
        while more:
            listed = self._get(
                "api/projects/",
                "its projects",
                params={"include": "id,description", "page": page, "page_size": _PAGE},
            )
            found += [
                one["id"]
                for one in self._field(listed, "results")
                if one.get("description") == marker
            ]
            page, more = page + 1, bool(listed.get("next"))
        return min(found, default=None)

    def import_tasks(self, project_id: int, tasks: Sequence[Mapping[str, Any]]) -> list[int] | None:
        """Add tasks, given as their `data`; all or none. Their ids, in the order given."""
        try:
            reply = self._ask(
                "POST",
                f"api/projects/{project_id}/import",
                "an import",
                params={"return_task_ids": "true"},
                body=[{"data": dict(one)} for one in tasks],
            )
        except ApiError as cause:
            entry_ids = [EntryId(int(one["entry_id"])) for one in tasks]
            # Its answer quotes the task, so only the positions are taken from it.
            faulty = {int(at) for at in re.findall(r"Error at item (\d+)", str(cause.body))}
            named = [one for at, one in enumerate(entry_ids) if at in faulty]
            raise ImportRefused(self._url, named or entry_ids, cause.status_code or 0) from None
        told = reply.get("task_ids") if isinstance(reply, dict) else None
        if not isinstance(told, list) or len(told) != len(tasks):
            return None
        return [int(one) for one in told]

    def tasks_of_push(self, project_id: int, push_id: UUID) -> list[SeenTask]:
        """The tasks whose data carries this push, by id, with `data` and annotation marks."""
        mine = condition("data.push_id", "equal", "String", str(push_id))
        pages = self._listing(project_id, [mine], include=_MARKS + ",data")
        return [task for page in pages for task in page.tasks]

    def last_from(self, project_id: int, task_id: int) -> tuple[SeenTask | None, int]:
        """The newest task, with `data`, and how many there are from this id on."""
        later = condition("id", "greater", "Number", task_id - 1)
        listed, total = self._tasks(
            project_id, [later], include="id,updated_at,data", order="-tasks:id", page_size=1
        )
        return (listed[0] if listed else None), total

    def newest_update(self, project_id: int) -> datetime | None:
        """The latest `updated_at` of any task, by Label Studio's clock."""
        listed, _ = self._tasks(
            project_id, [], include="id,updated_at", order="-tasks:updated_at", page_size=1
        )
        return max((task.updated_at for task in listed), default=None)

    def tasks_updated_since(self, project_id: int, since: datetime | None) -> Iterator[Page]:
        """Tasks with `updated_at > since` (None: all), by id, with whole annotations."""
        conditions = []
        if since is not None:
            conditions = [condition("updated_at", "greater", "Datetime", written(since))]
        yield from self._listing(project_id, conditions, include=_BODIES)

    def marks(self, project_id: int, *, from_task_id: int = 0) -> Iterator[Page]:
        """Every task from this id on, by id, with annotation marks and without data."""
        yield from self._listing(project_id, [], include=_MARKS, after=from_task_id - 1)

    def tasks(self, project_id: int, task_ids: Sequence[int]) -> list[SeenTask]:
        """These tasks with data and whole annotations; one that is gone is absent."""
        found: list[SeenTask] = []
        for start in range(0, len(task_ids), _IDS_PER_CALL):
            wanted = list(task_ids[start : start + _IDS_PER_CALL])
            named = condition("id", "in_list", "List", wanted)
            for page in self._listing(project_id, [named], include=_BODIES + ",data"):
                found += page.tasks
        return found

    def delete_tasks(
        self,
        project_id: int,
        task_ids: Sequence[int],
        *,
        not_updated_after: datetime | None = None,
    ) -> None:
        """Delete tasks with their annotations, but none that was updated after this moment."""
        if not task_ids:
            return
        # Always by name: a version that did not know the condition would delete these and no more.
        body: dict[str, Any] = {"selectedItems": {"all": False, "included": list(task_ids)}}
        if not_updated_after is not None:
            same = condition("updated_at", "less_or_equal", "Datetime", written(not_updated_after))
            body["filters"] = {"conjunction": "and", "items": [same]}
        self._ask(
            "POST",
            "api/dm/actions",
            "a deletion",
            params={"id": "delete_tasks", "project": project_id},
            body=body,
        )

    def reopen(self, task_id: int, *, overlap: int) -> None:
        """Let the task be served again, until `overlap` different people have answered."""
        body = {"overlap": overlap, "is_labeled": False}
        self._ask("PATCH", f"api/tasks/{task_id}/", "a task's reopening", body=body)

    def accounts(self) -> list[Account]:
        """Everybody who can log in, by id."""
        listed = self._get("api/users/", "its accounts")
        return sorted(
            (Account(int(one["id"]), str(one["email"])) for one in listed),
            key=lambda one: one.user_id,
        )

    def _listing(
        self,
        project_id: int,
        conditions: list[dict[str, Any]],
        *,
        include: str,
        after: int = -1,
    ) -> Iterator[Page]:
        # By id and from the last id on, not by page number: a task that is updated or deleted
        # meanwhile would shift the pages, and one would fall between two of them.
        last = after
        while True:
            begin = condition("id", "greater", "Number", last)
            found, total = self._tasks(
                project_id, [*conditions, begin], include=include, page_size=_PAGE
            )
            # Not by the length of the page: a server may show fewer than it is asked for.
            is_last = not found or len(found) >= total
            yield Page(found, is_last=is_last)
            if is_last:
                return
            last = found[-1].task_id

    def _tasks(
        self,
        project_id: int,
        conditions: list[dict[str, Any]],
        *,
        include: str,
        page_size: int,
        order: str = "tasks:id",
    ) -> tuple[list[SeenTask], int]:
        """A page of tasks, and how many there are on all pages."""
        # The SDK's own tasks.list forces every field of every task, which is ten times slower.
        query = {"filters": {"conjunction": "and", "items": conditions}, "ordering": [order]}
        listed = self._get(
            "api/tasks",
            "its tasks",
            params={
                "project": project_id,
                "query": json.dumps(query),
                "include": include,
                # Without this, `include` silently leaves annotations out.
                "fields": "all",
                "resolve_uri": "false",
                "page_size": page_size,
            },
        )
        shown = [seen(one) for one in self._field(listed, "tasks")]
        return shown, int(self._field(listed, "total"))

    def _get(self, path: str, what: str, *, params: dict[str, Any] | None = None) -> Any:
        return self._ask("GET", path, what, params=params)

    def _field(self, answer: Any, name: str) -> Any:
        if not isinstance(answer, dict) or name not in answer:
            raise LabelStudioUnavailable(self._url, "answers something else than Label Studio does")
        return answer[name]

    def _ask(
        self,
        method: str,
        path: str,
        what: str,
        *,
        params: dict[str, Any] | None = None,
        body: Any = None,
    ) -> Any:
        """One request, and the errors of this room. A refused import stays an ApiError."""
        try:
            response = self._send(method, path, params, body)
            if response.status_code == 401 and self._forget_access():
                # Our clock is behind its own: the short-lived token ran out there and not yet
                # here. What is refused so was not acted upon, and may be sent again.
                response = self._send(method, path, params, body)
            status = response.status_code
            if status < 400:
                return response.json() if response.content else {}
        except httpx.TimeoutException as cause:
            what_now = f"gave no answer for {self._timeout_seconds:g} seconds"
            raise LabelStudioUnavailable(self._url, what_now) from cause
        except httpx.HTTPError as cause:
            raise LabelStudioUnavailable(self._url, _connection_words(cause)) from cause
        except ValueError as cause:
            raise LabelStudioUnavailable(
                self._url, "answers something else than Label Studio does"
            ) from cause
        except ApiError as cause:  # the renewal of a token
            status = cause.status_code or 401
            if not _is_passing(status):
                raise LabelStudioRefused(self._url, status) from None
        if status in (401, 403):
            raise LabelStudioRefused(self._url, status)
        if _is_passing(status):
            raise LabelStudioUnavailable(self._url, f"answers HTTP {status}")
        if what == "an import" and status in (400, 413, 422):
            raise ApiError(status_code=status, body=response.text)
        raise RequestRefused(self._url, what, status)

    def _send(self, method: str, path: str, params: Any, body: Any) -> httpx.Response:
        # The SDK's own endpoints parse into models that lose fields or refuse what the server
        # sends; its transport knows both kinds of token and renews the short-lived one. Its walk
        # through every value of a body costs a tenth of an import.
        sent: httpx.Response = self._sdk._client_wrapper.httpx_client.request(
            path,
            method=method,
            params=params,
            content=None if body is None else json.dumps(body, ensure_ascii=False).encode(),
            headers=None if body is None else {"Content-Type": "application/json"},
        )
        return sent

    def _forget_access(self) -> bool:
        """Let the next request begin with a new access token. False: ours is not of that kind."""
        tokens = self._sdk._client_wrapper._tokens_client
        if tokens._use_legacy_token:
            return False
        tokens._access_token = None
        return True


def _is_passing(status: int) -> bool:
    return status >= 500 or status in (408, 429)


def _connection_words(cause: httpx.HTTPError) -> str:
    if isinstance(cause, httpx.ConnectError):
        return "refuses the connection"
    return f"broke off the connection ({type(cause).__name__})"
