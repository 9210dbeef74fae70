"""Servers of somebody else's, given by their URLs: asked as the flows will ask them."""

from __future__ import annotations

from hitl.services import label_studio, prefect_server, store
from hitl.services.endpoints import Endpoints, ServiceStatus
from hitl.services.server import why_silent


def statuses(given: Endpoints) -> dict[str, ServiceStatus]:
    """How each of them is, by its name. Shows no secret."""
    found = {}
    if given.database_url is not None:
        reason = store.why_silent(given.database_url.get_secret_value())
        found["database"] = _status("database", None, reason)
    if (url := given.label_studio_url) is not None:
        reason = _why_label_studio_refuses(url, given)
        found[label_studio.NAME] = _status(label_studio.NAME, url, reason)
    if (url := given.prefect_api_url) is not None:
        reason = why_silent(url.rstrip("/") + "/health", is_ours=False)
        found[prefect_server.NAME] = _status(prefect_server.NAME, url, reason)
    return found


def _why_label_studio_refuses(url: str, given: Endpoints) -> str | None:
    if given.label_studio_token is None:
        return "has no token; set HITL_LABEL_STUDIO_TOKEN"
    token = given.label_studio_token.get_secret_value()
    base = url.rstrip("/")
    if token.count(".") == 2:  # a personal access token, which is good for renewals alone
        reason = why_silent(f"{base}/api/token/refresh", body={"refresh": token}, is_ours=False)
    else:
        headers = {"Authorization": f"Token {token}"}
        reason = why_silent(f"{base}/api/current-user/whoami", headers=headers, is_ours=False)
    if reason in ("answers with status 401", "answers with status 403"):
        return "refuses the token; mend HITL_LABEL_STUDIO_TOKEN"
    return reason


def _status(name: str, url: str | None, reason: str | None) -> ServiceStatus:
    return ServiceStatus(name, "external", url=url, detail=reason or "answers")
