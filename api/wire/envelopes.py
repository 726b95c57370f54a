"""Models of the envelope, for the OpenAPI document and for tests of answers."""

from __future__ import annotations

from typing import Annotated, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

Data = TypeVar("Data")
Item = TypeVar("Item")

Instant = Annotated[
    str,
    Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$"),
    WithJsonSchema({"type": "string", "format": "date-time", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$"}),
]
"""A time as the contract writes it: UTC, whole seconds."""


class WireModel(BaseModel):
    """Part of an answer. It says exactly what is there: an unknown key is a mistake."""

    model_config = ConfigDict(extra="forbid")


class Metadata(WireModel):
    """Always empty, for now."""


class Acknowledged(WireModel):
    """Success without data."""

    status: Literal["success"]
    message: str
    metadata: Metadata


class Success(WireModel, Generic[Data]):
    """Success with data."""

    status: Literal["success"]
    message: str
    metadata: Metadata
    data: Data


class Pagination(WireModel):
    """Where a page stands in its list."""

    page: int = Field(ge=1)
    page_size: int = Field(ge=1, le=100)
    total_items: int = Field(ge=0)
    total_pages: int = Field(ge=0)


class PageOf(WireModel, Generic[Item]):
    """One page of a list."""

    status: Literal["success"]
    message: str
    metadata: Metadata
    items: list[Item]
    pagination: Pagination


class Failure(WireModel):
    """What did not work."""

    status: Literal["error"]
    error: str
    message: str


class ProblemDetails(WireModel):
    """The same as Failure in the form of RFC 9457, on request."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str
    code: str
