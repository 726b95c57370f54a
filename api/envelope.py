"""The contract's envelope: every answer has one of these shapes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic_core import to_json
from starlette.responses import Response

from ingestion.store import Page


class JsonResponse(Response):
    """JSON in UTF-8, written fast; a float that JSON cannot write becomes its name as text."""

    media_type = "application/json"

    def __init__(
        self,
        content: Any,
        status_code: int = 200,
        headers: Mapping[str, str] | None = None,
        media_type: str | None = None,
    ) -> None:
        super().__init__(content, status_code, headers, media_type)

    def render(self, content: Any) -> bytes:
        """The body's bytes."""
        return to_json(content, inf_nan_mode="strings")


def success_body(message: str, data: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What worked, with its data if it has any."""
    body: dict[str, Any] = {"status": "success", "message": message, "metadata": {}}
    if data is not None:
        body["data"] = data
    return body


def page_body(message: str, items: Sequence[Mapping[str, Any]], page: Page, total: int) -> dict[str, Any]:
    """One page of a list."""
    pagination = {
        "page": page.number,
        "page_size": page.size,
        "total_items": total,
        "total_pages": total_pages(total, page.size),
    }
    return {"status": "success", "message": message, "metadata": {}, "items": items, "pagination": pagination}


def total_pages(total: int, size: int) -> int:
    """Pages of `size` items that `total` items need; 0 for none."""
    return -(-total // size)


def error_body(code: str, message: str) -> dict[str, Any]:
    """What did not work: exactly three fields."""
    return {"status": "error", "error": code, "message": message}
