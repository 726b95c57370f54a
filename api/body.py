"""Reading a request's body: one JSON object, of bounded size and depth, without ambiguity."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any, NoReturn

from starlette.requests import Request

from ingestion.errors import InvalidRequest, PayloadTooLarge, UnsupportedMediaType
from ingestion.model.problems import Problem, shown

LARGEST_BODY_BYTES = 1 << 20
DEEPEST_NESTING = 64


async def read_object(request: Request, may_be_empty: bool = False) -> dict[str, Any]:
    """The body as a JSON object; `{}` for an empty body where that is allowed.

    Raises PayloadTooLarge without reading on, UnsupportedMediaType, or InvalidRequest.
    """
    content = await _read(request)
    if not content.strip():
        if may_be_empty:
            return {}
        raise _invalid("the body is empty; a JSON object is required")
    _check_media_type(request)
    return parse_object(content)


def parse_object(content: bytes) -> dict[str, Any]:
    """The JSON object in `content`. Raises InvalidRequest for anything that two readers could read differently."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _invalid(f"the body is not valid UTF-8: {error.reason} at byte {error.start}") from error
    try:
        value = json.loads(
            text, object_pairs_hook=_object_of, parse_constant=_refuse_constant, parse_float=_finite_float
        )
    except json.JSONDecodeError as error:
        reason = f"{error.msg} at line {error.lineno} column {error.colno}"
        raise _invalid(f"the body is not valid JSON: {reason}") from error
    except RecursionError as error:
        raise _too_deep() from error
    except ValueError as error:
        # Python refuses to convert integers of thousands of digits.
        raise _invalid("the body holds a number with too many digits") from error
    if not isinstance(value, dict):
        raise _invalid(f"the body must be a JSON object, not {shown(value)}")
    _check_texts(value)
    return value


async def _read(request: Request) -> bytes:
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > LARGEST_BODY_BYTES:
        raise _too_large()
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > LARGEST_BODY_BYTES:
            raise _too_large()
    return bytes(content)


def _check_media_type(request: Request) -> None:
    given = request.headers.get("content-type", "application/json")
    kind, _, parameters = given.partition(";")
    kind = kind.strip().lower()
    charset = parameters.lower().replace(" ", "").replace('"', "")
    is_json = kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))
    if not is_json or ("charset=" in charset and "charset=utf-8" not in charset):
        raise UnsupportedMediaType(f"the body must be application/json in UTF-8, not {shown(given)}")
    encoding = request.headers.get("content-encoding", "identity")
    if encoding.lower() != "identity":
        raise UnsupportedMediaType(f"the body must be sent as it is, not with Content-Encoding {shown(encoding)}")


def _object_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidRequest([Problem(twice, "the key is there more than once")])
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise _invalid(f"the body is not valid JSON: {name} is not a JSON number")


def _finite_float(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise _invalid(f"the number {digits[:40]} is too large")
    return number


def _check_texts(value: dict[str, Any]) -> None:
    """Refuse text that no database stores (NUL, half of a surrogate pair), and nesting nobody can mean."""
    level: list[Any] = [value]
    for _ in range(DEEPEST_NESTING):
        for text in _texts(level):
            if "\0" in text or not _is_encodable(text):
                raise _invalid(f"{shown(text)} holds a character that cannot be stored: NUL or a lone surrogate")
        level = [inner for outer in level for inner in _values(outer) if isinstance(inner, dict | list)]
        if not level:
            return
    raise _too_deep()


def _texts(containers: list[Any]) -> Iterator[str]:
    for container in containers:
        if isinstance(container, dict):
            yield from container
        yield from (value for value in _values(container) if isinstance(value, str))


def _values(container: Any) -> Any:
    return container.values() if isinstance(container, dict) else container


def _is_encodable(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _invalid(message: str) -> InvalidRequest:
    return InvalidRequest([Problem("", message)])


def _too_deep() -> InvalidRequest:
    return _invalid(f"the body is nested deeper than {DEEPEST_NESTING} levels")


def _too_large() -> PayloadTooLarge:
    return PayloadTooLarge(f"the body is larger than {LARGEST_BODY_BYTES} bytes")
