"""Room of the embedded servers: Postgres, Label Studio and Prefect in one state folder."""

from hitl.services.doctor import Finding
from hitl.services.endpoints import Endpoints, ServiceStatus
from hitl.services.errors import (
    Busy,
    InstallFailed,
    NoDatabaseURL,
    PostgresSilent,
    ServiceFailed,
    StateFolderRefused,
    WrongEnvironment,
)
from hitl.services.postgres import PostgresServer
from hitl.services.stack import Stack

__all__ = [
    "Busy",
    "Endpoints",
    "Finding",
    "InstallFailed",
    "NoDatabaseURL",
    "PostgresServer",
    "PostgresSilent",
    "ServiceFailed",
    "ServiceStatus",
    "Stack",
    "StateFolderRefused",
    "WrongEnvironment",
]
