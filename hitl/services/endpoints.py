"""What the room answers with: where the servers are, and how they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import SecretStr

State = Literal["running", "stopped", "unhealthy", "external"]


@dataclass(frozen=True)
class Endpoints:
    """Where everything answers. None: neither started here nor given."""

    database_url: SecretStr | None = None
    label_studio_url: str | None = None
    label_studio_token: SecretStr | None = None
    label_studio_email: str | None = None
    label_studio_password: SecretStr | None = None
    prefect_api_url: str | None = None


@dataclass(frozen=True)
class ServiceStatus:
    """One server, as it is now. `url` holds no secret; `rss` is in bytes."""

    name: str
    state: State
    url: str | None = None
    pid: int | None = None
    rss: int | None = None
    detail: str = ""
