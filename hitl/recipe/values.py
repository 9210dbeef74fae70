"""What every part of a recipe is made with."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Fraction = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]


class Strict(BaseModel):
    """Takes no key that it does not know, and stays as it was made."""

    model_config = ConfigDict(extra="forbid", frozen=True)
