"""The id of what a request makes."""

from __future__ import annotations

import uuid
from dataclasses import dataclass


@dataclass(frozen=True)
class NewId:
    """`may_exist`: an attempt of the same request that was interrupted may have made it already."""

    value: str
    may_exist: bool = False

    @classmethod
    def fresh(cls) -> NewId:
        """One that nothing has."""
        return cls(str(uuid.uuid4()))
