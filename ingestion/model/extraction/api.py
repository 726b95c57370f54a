"""`extraction_params` of REST and GraphQL APIs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from ingestion.model.connections import ApiConnection, ConnectionDetails
from ingestion.model.connections.api import checked_headers
from ingestion.model.connections.base import without_plain_secrets
from ingestion.model.connections.pagination import Pagination
from ingestion.model.extraction.base import ExtractionParams, PatternText, as_columns
from ingestion.model.macros import MACRO_NAMES, unknown_macros
from ingestion.model.problems import Problem
from ingestion.model.references import plain_secrets
from ingestion.model.schema import SchemaField

Scalar = str | int | float | bool
ResponseFormat = Literal["JSON", "NDJSON", "XML"]

_NAMED_FORMATS = ("iso", "date", "epoch_seconds", "epoch_millis")
_PATH_STEP = re.compile(r"[^.\[\]\s]+(\[\])?")


class ApiExtraction(ExtractionParams):
    """What is asked of an API, where the rows are in its answers, and how they go on."""

    path: PatternText | None = None
    method: Literal["GET", "POST"] | None = None
    params: dict[str, Scalar | tuple[Scalar, ...]] | None = None
    headers: dict[str, str] | None = None
    body: Any = None
    query: str | None = Field(default=None, min_length=1, description="A GraphQL document.")
    variables: dict[str, Any] | None = None
    allow_partial_data: bool | None = None
    response_format: ResponseFormat | None = None
    data_path: str | None = Field(default=None, min_length=1)
    parent_columns: dict[str, str] | None = None
    record_tag: str | None = Field(default=None, min_length=1)
    flatten: bool | None = None
    null_values: tuple[str, ...] | None = None
    date_format: str | None = Field(default=None, min_length=1)
    timestamp_format: str | None = Field(default=None, min_length=1)
    schema_: tuple[SchemaField, ...] | None = Field(default=None, alias="schema", min_length=1)
    pagination: Pagination | None = None
    incremental_key: str | None = Field(default=None, min_length=1)
    cursor_param: str | None = Field(default=None, min_length=1)
    until_param: str | None = Field(default=None, min_length=1)
    cursor_in: Literal["query", "body"] | None = None
    cursor_format: str | None = Field(default=None, min_length=1)
    initial_value: str | None = Field(default=None, min_length=1)
    primary_key: str | tuple[str, ...] | None = None

    @field_validator("path")
    @classmethod
    def _stays_below_the_endpoint(cls, path: str | None) -> str | None:
        return None if path is None else checked_path(path)

    @field_validator("headers")
    @classmethod
    def _can_be_sent(cls, headers: dict[str, str] | None) -> dict[str, str] | None:
        return checked_headers(headers)

    @field_validator("data_path")
    @classmethod
    def _is_a_path(cls, path: str | None) -> str | None:
        if path is None or path == DOCUMENT:
            return path
        bad = next((step for step in path.removeprefix("[].").split(".") if not _PATH_STEP.fullmatch(step)), None)
        if bad is not None:
            raise ValueError(
                f"{bad!r} is no step of a path such as data.orders[].items[]; '{DOCUMENT}' is the document"
            )
        return path

    @field_validator("cursor_format")
    @classmethod
    def _format_is_known(cls, text: str | None) -> str | None:
        if text is not None and text not in _NAMED_FORMATS and "%" not in text:
            raise ValueError(f"{text!r} is not one of {', '.join(_NAMED_FORMATS)}, nor a pattern such as %Y-%m-%d")
        return text

    @model_validator(mode="after")
    def _holds_no_plain_secret(self) -> Self:
        return without_plain_secrets(self, "headers")

    @property
    def cursor_column(self) -> str | None:
        """The column an incremental pipeline follows."""
        return self.incremental_key

    @property
    def key_columns(self) -> tuple[str, ...]:
        """The declared primary key."""
        return as_columns(self.primary_key)

    @property
    def http_method(self) -> str:
        """GET, unless said otherwise or something has to be sent."""
        return self.method or ("POST" if self.query is not None or self.body is not None else "GET")

    def problems(self, connection: ConnectionDetails, prefix: str) -> Sequence[Problem]:
        """What cannot work on that source."""
        found = [*self._request_problems(), *self._answer_problems(), *self._cursor_problems()]
        if isinstance(connection, ApiConnection):
            paging = self.pagination or connection.pagination
            if paging is not None and paging.type == "graphql" and self.query is None:
                found.append(("pagination.type", "graphql needs a query"))
            if paging is not None and paging.param_in == "body" and self.http_method != "POST":
                found.append(("pagination.param_in", "body needs method POST"))
        return [Problem(f"{prefix}.{field}", message) for field, message in found]

    def _request_problems(self) -> Iterator[tuple[str, str]]:
        for field in ("params", "body", "variables"):
            for text in texts_in(getattr(self, field)):
                for name in unknown_macros(text):
                    yield field, f"unknown macro {name!r}; known macros are {', '.join(MACRO_NAMES)}"
            for secret in plain_secrets(
                {field: getattr(self, field) or {}} if field != "body" else {"body": self.body}
            ):
                yield secret, "looks like a secret in plain text; credentials belong into the source's auth_config"
        if self.body is not None and self.http_method == "GET":
            yield "body", "cannot be sent with method GET; use POST"
        if self.query is None:
            for field in ("variables", "allow_partial_data"):
                if getattr(self, field) is not None:
                    yield field, "needs a GraphQL query"
            return
        if self.method == "GET":
            yield "method", "a GraphQL query is sent with POST"
        if self.body is not None:
            yield "body", "cannot be given beside query, which is the body; use variables"
        if self.data_path is None:
            yield "data_path", "is needed with a query, such as data.orders.edges[].node"
        if unknown_macros(self.query) or any(f"{{{{{name}}}}}" in self.query for name in MACRO_NAMES):
            yield (
                "query",
                "has a macro, which cannot be bound there; declare a variable and put the macro into variables",
            )

    def _answer_problems(self) -> Iterator[tuple[str, str]]:
        if self.record_tag is not None and self.response_format not in (None, "XML"):
            yield "record_tag", f"is for XML, not for {self.response_format}"
        if self.record_tag is not None and self.data_path is not None:
            yield "data_path", "is for JSON; with XML, record_tag says where the rows are"
        for column, path in (self.parent_columns or {}).items():
            outer, has_array, _ = path.rpartition("[].")
            if not has_array or not (self.data_path or "").startswith(f"{outer}[]."):
                yield (
                    f"parent_columns.{column}",
                    (f"{path!r} is no path such as orders[].id, with an array that data_path goes through"),
                )

    def _cursor_problems(self) -> Iterator[tuple[str, str]]:
        for field in ("cursor_param", "until_param", "cursor_in", "cursor_format", "initial_value"):
            if self.incremental_key is None and getattr(self, field) is not None:
                yield field, "needs an incremental_key"
        if self.until_param is not None and self.cursor_param is None:
            yield "until_param", "needs a cursor_param"
        if self.cursor_in == "body" and self.http_method != "POST":
            yield "cursor_in", "body needs method POST"


DOCUMENT = "$"
"""The `data_path` of a document that is the rows, or the one row."""


def checked_path(path: str) -> str:
    """`path` itself when it stays below the endpoint; else ValueError."""
    if "://" in path or path.startswith("//") or "\\" in path:
        raise ValueError(f"{path!r} must be a path below the source's endpoint_url, not an address")
    if any(step in ("..", ".") for step in re.split(r"[/?#]", path)):
        raise ValueError(f"{path!r} must not leave the source's endpoint_url: '.' and '..' are no steps of it")
    if "#" in path or any(ord(character) < 32 for character in path):
        raise ValueError(f"{path!r} has a character that no path has")
    return path


def texts_in(value: Any) -> Iterator[str]:
    """All texts of a JSON-like value, but not its keys."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from texts_in(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from texts_in(item)
