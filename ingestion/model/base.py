"""What all stored and accepted models have in common."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


class StrictModel(BaseModel):
    """Immutable, and refuses unknown fields: a misspelt key is an error, never dropped."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=False)

    def given(self) -> dict[str, Any]:
        """Only what was set, as JSON-ready data: what a client sent is what it reads back."""
        return self.model_dump(mode="json", exclude_unset=True)
