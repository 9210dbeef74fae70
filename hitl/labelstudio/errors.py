"""What can go wrong with Label Studio, by what the caller should do. Never holds content."""

from __future__ import annotations

from collections.abc import Sequence

from hitl.errors import Refused, Unavailable
from hitl.records import EntryId


class LabelStudioUnavailable(Unavailable):
    """It does not answer, answers with a server error, or takes too long.

    A request that was on its way may still have taken effect; the next run looks before it acts.
    """

    def __init__(self, url: str, what: str) -> None:
        super().__init__(
            f"Label Studio at {url} {what}; nothing is lost. See that it runs (`hitl status`, "
            "then `hitl up`) and that HITL_LABEL_STUDIO_URL is right, then run this again"
        )
        self.url = url
        self.what = what


class LabelStudioRefused(Refused):
    """It does not accept our token."""

    def __init__(self, url: str, status: int) -> None:
        super().__init__(
            f"Label Studio at {url} does not accept our token (HTTP {status}); set "
            "HITL_LABEL_STUDIO_TOKEN to the token of an account there (Account & Settings)"
        )
        self.url = url
        self.status = status


class RequestRefused(Refused):
    """It understood a request and said no: most often another version than we know."""

    def __init__(self, url: str, request: str, status: int) -> None:
        super().__init__(
            f"Label Studio at {url} refused {request} (HTTP {status}); compare its version "
            "with the one in the README (`hitl doctor`)"
        )
        self.url = url
        self.request = request
        self.status = status


class WebhookRefused(Refused):
    """It may not call our receiver; most often because the address is one of a private network."""

    def __init__(self, url: str, receiver: str, status: int) -> None:
        super().__init__(
            f"Label Studio at {url} may not call {receiver} (HTTP {status}); answers come in by "
            "the poll all the same. Give HITL_WEBHOOK_URL an address that it may call, or take "
            "that address out of its banned subnets (LABEL_STUDIO_USER_ADDITIONAL_BANNED_SUBNETS)"
        )
        self.url = url
        self.receiver = receiver
        self.status = status


class ImportRefused(Refused):
    """It refused tasks, and took none of that call. Carries the entries it may have meant."""

    def __init__(self, url: str, entry_ids: Sequence[EntryId], status: int) -> None:
        shown = ", ".join(str(one) for one in entry_ids[:10])
        more = f" and {len(entry_ids) - 10} more" if len(entry_ids) > 10 else ""
        super().__init__(
            f"Label Studio at {url} refused the tasks of entries {shown}{more} "
            f"(HTTP {status}); see that their items have text and fit its upload limit"
        )
        self.url = url
        self.entry_ids = list(entry_ids)
        self.status = status


class ProjectGone(Refused):
    """A project that we pushed to is not there any more."""

    _WORDS = (
        "Label Studio at {url} has no project {project_id} for {marker}; see that "
        "HITL_LABEL_STUDIO_URL names the server that was used before. If that project was "
        "deleted on purpose, run `hitl dispatch --replace-lost-project`"
    )

    def __init__(self, url: str, project_id: int, marker: str) -> None:
        super().__init__(self._WORDS.format(url=url, project_id=project_id, marker=marker))
        self.url = url
        self.project_id = project_id
        self.marker = marker


class ProjectIsAnother(ProjectGone):
    """A project of that number is there, but it does not say that it is ours."""

    _WORDS = (
        "project {project_id} of Label Studio at {url} is there, but its description is not "
        "`{marker}`, which is how we know it. If somebody changed the description, put that back "
        "(Settings, General); if HITL_LABEL_STUDIO_URL names another server now, mend it. If the "
        "project was deleted and its number given to another, run "
        "`hitl dispatch --replace-lost-project`"
    )
