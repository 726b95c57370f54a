"""The Idempotency-Key header: a POST that is repeated is carried out once and gets the same answer again.

What succeeded is remembered. A refusal changed nothing, so its key is free again; after a failure it is not
known what was changed, so the key stays, for a repeat that finds what the first attempt made.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
import re
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from anyio import to_thread
from starlette.datastructures import Headers
from starlette.responses import Response

from api.new_id import NewId
from ingestion.errors import InvalidRequest, LaunchFailed, RequestError, ServiceUnavailable
from ingestion.model.problems import Problem
from ingestion.store import IdempotencyRepository, Reservation, StoredAnswer
from ingestion.store.idempotency import LEASE

HEADER = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"
LONGEST_KEY = 255
_NAMESPACE = uuid.UUID("5b0f3c1e-6d0b-4a53-9d0e-0c6a4c1f7e21")
_QUOTED = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])*)"')
_BARE = re.compile(r"[!#-~][ !#-~]*")
_RENEWALS_PER_LEASE = 3

logger = logging.getLogger("ingestion.api")


def key_of(headers: Headers) -> str | None:
    """The key a request carries: bare, or quoted as in RFC 8941. Raises InvalidRequest."""
    given = headers.getlist(HEADER)
    if not given:
        return None
    if len(given) > 1:
        raise _invalid("the header is there more than once")
    text = given[0].strip()
    quoted = _QUOTED.fullmatch(text)
    if quoted is not None:
        key = re.sub(r"\\(.)", r"\1", quoted[1])
    elif _BARE.fullmatch(text):
        key = text
    else:
        raise _invalid('must be printable ASCII, bare or as "text in quotes"')
    if not 0 < len(key) <= LONGEST_KEY:
        raise _invalid(f"must have 1 to {LONGEST_KEY} characters, not {len(key)}")
    return key


def scoped(principal: str, method: str, path: str, key: str) -> str:
    """What stands for the key: the same text of another principal, or at another address, is another key."""
    return str(uuid.uuid5(_NAMESPACE, json.dumps([principal, method, path.rstrip("/"), key])))


async def carried_out_once(
    keys: IdempotencyRepository,
    key_id: str,
    body: Mapping[str, Any],
    carry_out: Callable[[NewId], Awaitable[Response]],
) -> Response:
    """The answer of `carry_out`, or the one it gave earlier.

    Raises IdempotencyKeyReused, IdempotencyKeyInUse, and what `carry_out` raises.
    """
    found = await to_thread.run_sync(keys.reserve, key_id, fingerprint_of(body))
    if isinstance(found, StoredAnswer):
        return Response(found.body.encode(), found.status, {**found.headers, REPLAYED: "true"})
    try:
        async with _held(keys, found):
            response = await carry_out(NewId(found.resource_id, may_exist=found.is_repeat))
    except Exception as error:
        # A run that could not be launched ended its execution: a repeat is to make a new one.
        is_clear = isinstance(error, RequestError) and (isinstance(error, LaunchFailed) or not error.transient)
        await _told(keys.release if is_clear else keys.abandon, found)
        raise
    answer = StoredAnswer(response.status_code, _lasting(response), bytes(response.body).decode())
    await _told(lambda reservation: keys.complete(reservation, answer), found)
    return response


@asynccontextmanager
async def _held(keys: IdempotencyRepository, reservation: Reservation) -> AsyncIterator[None]:
    """Renews the reservation for as long as the work takes."""

    async def renew() -> None:
        while True:
            await asyncio.sleep(LEASE.total_seconds() / _RENEWALS_PER_LEASE)
            await _told(keys.renew, reservation)

    task = asyncio.create_task(renew())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _told(tell: Callable[[Reservation], object], reservation: Reservation) -> None:
    """Tell the store how it went. The work is done whatever comes of it: without an end, the lease runs out."""
    try:
        await to_thread.run_sync(tell, reservation)
    except ServiceUnavailable as error:
        logger.warning("the state of an idempotency key was not stored: %s", error.message)


def fingerprint_of(body: Mapping[str, Any]) -> str:
    """The same for bodies that say the same."""
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def _lasting(response: Response) -> dict[str, str]:
    return {name: value for name, value in response.headers.items() if name != "content-length"}


def _invalid(message: str) -> InvalidRequest:
    return InvalidRequest([Problem(HEADER, message)])
