"""Where things are: addresses, secrets and folders, from the environment (`HITL_*`)."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from hitl.errors import Refused


class BadSettings(Refused):
    """A HITL_* variable cannot be read. The message names it, never its value."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("environment: " + "; ".join(faults))
        self.faults = faults


class Settings(BaseSettings):
    """Read once, by the composition root. A value that would change a result is not a setting.

    A URL that is set here replaces the embedded server of the same kind.
    """

    model_config = SettingsConfigDict(env_prefix="HITL_", extra="ignore", frozen=True)

    state: Path = Field(
        default=Path(".hitl"), description="folder of the embedded servers, models and snapshots"
    )
    policy: Path | None = Field(default=None, description="policy.toml; the shipped one if unset")
    recipe: Path | None = Field(default=None, description="recipe.toml; the shipped one if unset")
    database_url: SecretStr | None = None
    label_studio_url: str | None = None
    label_studio_token: SecretStr | None = None
    label_studio_venv: Path | None = None
    prefect_api_url: str | None = None
    request_timeout_seconds: float = Field(default=60.0, gt=0, le=600)
    log_level: str = "WARNING"
    log_json: bool = False

    @property
    def state_folder(self) -> Path:
        """The state folder as an absolute path."""
        return self.state.expanduser().resolve()


def load_settings() -> Settings:
    """Read the environment.

    Raises:
        BadSettings: names each variable that cannot be read.
    """
    try:
        return Settings()
    except ValidationError as cause:
        faults = [
            f"HITL_{'_'.join(str(part) for part in one['loc']).upper()}: {one['msg']}"
            for one in cause.errors(include_input=False)
        ]
        raise BadSettings(faults) from cause
