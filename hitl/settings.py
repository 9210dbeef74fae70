"""Where things are: addresses, secrets and folders, from the environment (`HITL_*`)."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import SplitResult, urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from hitl.errors import Refused

# Names that are not settings: our servers' mark, and what tests and benchmarks read.
_NOT_SETTINGS = re.compile(
    r"HITL_(SERVICE|SHARED_DATA|(TEST|FAULT)_\w+"
    # What Kubernetes tells each container of a service called hitl or hitl-something.
    r"|(\w+_)?SERVICE_(HOST|PORT)(_\w+)?|(\w+_)?PORT(_\d+_(TCP|UDP)(_\w+)?)?)"
)


class BadSettings(Refused):
    """A HITL_* variable cannot be read. The message names it, never its value."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("environment: " + "; ".join(faults))
        self.faults = faults


def _database_url(url: SecretStr) -> SecretStr:
    parts = _split(url.get_secret_value())
    if parts is None or parts.scheme.partition("+")[0] != "postgresql" or parts.path in ("", "/"):
        raise ValueError(
            "not a database URL (postgresql://user:password@host:port/name); in a password, write "
            "signs such as @ : / # percent-encoded"
        )
    return url


def _http_url(url: str) -> str:
    parts = _split(url)
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("not a URL (http://host:port)")
    if parts.username or parts.password:
        raise ValueError("leave user and password out of it: it is shown to people")
    return url


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 -- the port is only looked at when asked for
    except ValueError:
        return None
    # An @ in the host is the rest of a password that was not percent-encoded.
    is_clean = url.isprintable() and " " not in url and parts.netloc.count("@") <= 1
    return parts if is_clean else None


# NAME=TOKEN,NAME=TOKEN. The signs of a token are those that a bearer token may have.
_API_TOKEN = re.compile(r"[a-z0-9][a-z0-9_\-]{0,39}=[A-Za-z0-9._~+/\-]{16,200}=*")


def _api_tokens(written: SecretStr) -> SecretStr:
    parts = [one.strip() for one in written.get_secret_value().split(",")]
    if not all(_API_TOKEN.fullmatch(one) for one in parts):
        raise ValueError(
            "write NAME=TOKEN, several with commas; a name is up to 40 of a-z 0-9 _ -, a token 16 "
            "to 200 letters, digits and . _ ~ + / -"
        )
    if len({one.partition("=")[2] for one in parts}) < len(parts):
        raise ValueError("the same token stands there twice; give each producer its own")
    return written


def _secret(written: SecretStr) -> SecretStr:
    secret = written.get_secret_value()
    if not 16 <= len(secret) <= 200 or not secret.isascii() or not secret.isprintable():
        raise ValueError("write 16 to 200 ASCII characters")
    return written


HttpURL = Annotated[str, AfterValidator(_http_url)]
DatabaseURL = Annotated[SecretStr, AfterValidator(_database_url)]
ApiTokens = Annotated[SecretStr, AfterValidator(_api_tokens)]
Secret = Annotated[SecretStr, AfterValidator(_secret)]
LogLevel = Annotated[
    Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"],
    BeforeValidator(lambda level: level.upper() if isinstance(level, str) else level),
]


class Settings(BaseSettings):
    """Read once, by the composition root. A value that would change a result is not a setting.

    A URL that is set here replaces the embedded server of the same kind. An empty variable counts
    as unset, as compose files write it.
    """

    model_config = SettingsConfigDict(
        env_prefix="HITL_",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
    )

    state: Path = Field(
        default=Path(".hitl"), description="folder of the embedded servers, models and snapshots"
    )
    policy: Path | None = Field(default=None, description="policy.toml; the shipped one if unset")
    recipe: Path | None = Field(default=None, description="recipe.toml; the shipped one if unset")
    database_url: DatabaseURL | None = None
    label_studio_url: HttpURL | None = None
    label_studio_token: SecretStr | None = None
    label_studio_venv: Path | None = None
    prefect_api_url: HttpURL | None = None
    api_tokens: ApiTokens | None = Field(
        default=None, description="NAME=TOKEN of each producer that may push"
    )
    api_rows_per_second: float = Field(default=2_000.0, gt=0, description="of each producer")
    webhook_url: HttpURL | None = Field(
        default=None, description="whole URL at which Label Studio reaches our receiver"
    )
    webhook_secret: Secret | None = None
    request_timeout_seconds: float = Field(default=60.0, gt=0, le=600)
    log_level: LogLevel = "WARNING"
    log_json: bool = False
    debug: bool = Field(default=False, description="show tracebacks, whose words may hold content")

    @model_validator(mode="after")
    def _label_studio_is_whole(self) -> Settings:
        if (self.label_studio_url is None) != (self.label_studio_token is None):
            raise ValueError(
                "HITL_LABEL_STUDIO_URL and HITL_LABEL_STUDIO_TOKEN: set both, or neither"
            )
        if (self.webhook_url is None) != (self.webhook_secret is None):
            raise ValueError("HITL_WEBHOOK_URL and HITL_WEBHOOK_SECRET: set both, or neither")
        return self

    @property
    def producers(self) -> list[tuple[str, SecretStr]]:
        """Name and token of each that may push; a name may stand twice, for a rotation."""
        if self.api_tokens is None:
            return []
        parts = self.api_tokens.get_secret_value().split(",")
        pairs = [one.strip().partition("=") for one in parts]
        return [(name, SecretStr(token)) for name, _, token in pairs]

    @property
    def state_folder(self) -> Path:
        """The state folder as an absolute path."""
        return self.state.expanduser().resolve()


def load_settings() -> Settings:
    """Read the environment.

    Raises:
        BadSettings: names each variable that cannot be read, or that nobody reads.
    """
    unknown = _unknown(os.environ)
    try:
        settings = Settings()
    except ValidationError as cause:
        faults = [_fault(one["loc"], one["msg"]) for one in cause.errors(include_input=False)]
        raise BadSettings(faults + unknown) from cause
    if unknown:
        raise BadSettings(unknown)
    return settings


def _fault(where: tuple[int | str, ...], message: str) -> str:
    name = "_".join(str(part) for part in where).upper()
    message = message.removeprefix("Value error, ")
    return f"HITL_{name}: {message}" if name else message


def _unknown(names: Iterable[str]) -> list[str]:
    """A word for each HITL_* name that nobody reads: most are slips, and would go unheard."""
    known = [f"HITL_{field.upper()}" for field in Settings.model_fields]
    faults = []
    for name in sorted(names):
        if not name.startswith("HITL_") or name in known or _NOT_SETTINGS.fullmatch(name):
            continue
        near = difflib.get_close_matches(name, known, n=1)
        mend = f"did you mean {near[0]}?" if near else "unset it"
        faults.append(f"{name}: there is no such setting; {mend}")
    return faults
