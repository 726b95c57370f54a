"""How an API splits its rows into pages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Self

from pydantic import Field, model_validator

from ingestion.model.base import StrictModel

PageStyle = Literal["auto", "none", "page", "offset", "cursor", "link_header", "next_url", "keyset", "graphql"]

_ENDS = frozenset({"total_path", "total_pages_path", "has_more_path", "short_page_ends", "concurrency"})
_SIZE = frozenset({"page_size", "page_size_param", "param_in"})
_FIELDS: Mapping[str, frozenset[str]] = {
    "auto": frozenset({"page_size", "page_size_param", "concurrency"}),
    "none": frozenset(),
    "page": _SIZE | _ENDS | {"page_param", "first_page"},
    "offset": _SIZE | _ENDS | {"offset_param"},
    "cursor": _SIZE | {"cursor_param", "cursor_path", "has_more_path"},
    "link_header": frozenset({"page_size", "page_size_param"}),
    "next_url": frozenset({"page_size", "page_size_param", "next_url_path"}),
    "keyset": _SIZE | {"key_param", "key_field", "has_more_path", "short_page_ends"},
    "graphql": frozenset({"page_info_path", "cursor_variable"}),
}
_NEEDED: Mapping[str, tuple[str, ...]] = {
    "cursor": ("cursor_param", "cursor_path"),
    "next_url": ("next_url_path",),
    "keyset": ("key_param", "key_field"),
}


class Pagination(StrictModel):
    """`pagination`: the style and its parameters. Paths are dotted paths into the answer's document."""

    type: PageStyle = "auto"
    page_param: str | None = Field(default=None, min_length=1)
    first_page: int | None = Field(default=None, ge=0)
    offset_param: str | None = Field(default=None, min_length=1)
    page_size: int | None = Field(default=None, ge=1)
    page_size_param: str | None = Field(default=None, min_length=1)
    cursor_param: str | None = Field(default=None, min_length=1)
    cursor_path: str | None = Field(default=None, min_length=1)
    next_url_path: str | None = Field(default=None, min_length=1)
    key_param: str | None = Field(default=None, min_length=1)
    key_field: str | None = Field(default=None, min_length=1)
    page_info_path: str | None = Field(default=None, min_length=1)
    cursor_variable: str | None = Field(default=None, min_length=1)
    param_in: Literal["query", "body"] | None = None
    total_path: str | None = Field(default=None, min_length=1)
    total_pages_path: str | None = Field(default=None, min_length=1)
    has_more_path: str | None = Field(default=None, min_length=1)
    short_page_ends: bool | None = None
    max_pages: int | None = Field(default=None, ge=1)
    concurrency: int | None = Field(default=None, ge=1, le=32)

    @model_validator(mode="after")
    def _has_what_its_style_needs(self) -> Self:
        known = _FIELDS[self.type] | {"type", "max_pages"}
        foreign = sorted(name for name in self.model_fields_set - known if getattr(self, name) is not None)
        if foreign:
            raise ValueError(f"{', '.join(foreign)} has no meaning for type {self.type}; it takes {_listed(known)}")
        missing = [name for name in _NEEDED.get(self.type, ()) if getattr(self, name) is None]
        if missing:
            raise ValueError(f"type {self.type} needs {' and '.join(missing)}")
        if self.page_size_param is not None and self.page_size is None:
            raise ValueError("page_size_param needs a page_size to send")
        return self


def _listed(names: frozenset[str]) -> str:
    return ", ".join(sorted(names))
