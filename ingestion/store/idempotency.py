"""Requests that carry an idempotency key: each is carried out once, and its answer remembered for a day.

A key is reserved before the work and completed, released or abandoned after it. Whoever dies in between leaves
a reservation whose lease runs out; the next one to come takes it over with the same `resource_id`, so that
what was made already is found instead of made twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import uuid4

from sqlalchemy import ColumnElement, Connection, RowMapping, and_, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from ingestion import clock
from ingestion.errors import IdempotencyKeyInUse, IdempotencyKeyReused
from ingestion.store.engine import Database
from ingestion.store.tables import idempotency_keys

REMEMBERED = timedelta(hours=24)
LEASE = timedelta(seconds=60)
"""How long a reservation holds without being renewed."""

_PURGED_AT_ONCE = 100
_ATTEMPTS = 5


@dataclass(frozen=True)
class Reservation:
    """The right to carry a request out. `resource_id` is for what the request makes.

    `is_repeat`: an earlier attempt may have made it already.
    """

    key_id: str
    attempt: int
    resource_id: str

    @property
    def is_repeat(self) -> bool:
        """Whether this is not the first attempt."""
        return self.attempt > 1


@dataclass(frozen=True)
class StoredAnswer:
    """What a request was answered."""

    status: int
    headers: Mapping[str, str]
    body: str


class IdempotencyRepository:
    """Keys with their reservations and answers. A `key_id` stands for a key in the scope it is unique in."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def reserve(self, key_id: str, fingerprint: str) -> Reservation | StoredAnswer:
        """The right to carry the request out, or the answer it has had. `fingerprint` stands for what is asked.

        Raises IdempotencyKeyReused when something else was asked with this key, and IdempotencyKeyInUse while
        another attempt is being carried out.
        """
        for _ in range(_ATTEMPTS):
            try:
                with self._database.write() as connection:
                    return _reserve(connection, key_id, fingerprint)
            except IntegrityError:
                continue  # Another one made the row between our look and our insert; it is there to be seen now.
        raise _in_use()

    def renew(self, reservation: Reservation) -> bool:
        """Hold the reservation for another lease; False when it is no longer ours."""
        return self._change(reservation, leased_until=clock.now() + LEASE)

    def complete(self, reservation: Reservation, answer: StoredAnswer) -> bool:
        """Remember the answer; False when the reservation is no longer ours."""
        return self._change(reservation, status=answer.status, headers=dict(answer.headers), body=answer.body)

    def abandon(self, reservation: Reservation) -> bool:
        """Let another attempt follow at once, with the same `resource_id`: this one may have made something."""
        return self._change(reservation, leased_until=clock.now())

    def release(self, reservation: Reservation) -> None:
        """Forget the key: nothing was carried out."""
        with self._database.write() as connection:
            connection.execute(delete(idempotency_keys).where(_held_by(reservation)))

    def _change(self, reservation: Reservation, **values: object) -> bool:
        with self._database.write() as connection:
            statement = update(idempotency_keys).where(_held_by(reservation)).values(values)
            return connection.execute(statement).rowcount == 1


def _reserve(connection: Connection, key_id: str, fingerprint: str) -> Reservation | StoredAnswer:
    now = clock.now()
    row = _locked(connection, key_id)
    if row is not None and row["created_at"] > now - REMEMBERED:
        return _found(connection, row, fingerprint, now)
    if row is not None:
        connection.execute(delete(idempotency_keys).where(idempotency_keys.c.key_id == key_id))
    _purge(connection, now - REMEMBERED)
    reservation = Reservation(key_id, attempt=1, resource_id=str(uuid4()))
    values = {
        "key_id": key_id,
        "fingerprint": fingerprint,
        "resource_id": reservation.resource_id,
        "attempt": reservation.attempt,
        "created_at": now,
        "leased_until": now + LEASE,
    }
    connection.execute(insert(idempotency_keys).values(values))
    return reservation


def _found(connection: Connection, row: RowMapping, fingerprint: str, now: datetime) -> Reservation | StoredAnswer:
    if row["fingerprint"] != fingerprint:
        raise IdempotencyKeyReused("this Idempotency-Key was used for a request with another body; use a new key")
    if row["status"] is not None:
        return StoredAnswer(row["status"], row["headers"], row["body"])
    if row["leased_until"] > now:
        raise _in_use()
    reservation = Reservation(row["key_id"], row["attempt"] + 1, row["resource_id"])
    values = {"attempt": reservation.attempt, "leased_until": now + LEASE}
    connection.execute(update(idempotency_keys).where(idempotency_keys.c.key_id == row["key_id"]).values(values))
    return reservation


def _locked(connection: Connection, key_id: str) -> RowMapping | None:
    query = select(idempotency_keys).where(idempotency_keys.c.key_id == key_id).with_for_update()
    return connection.execute(query).mappings().first()


def _purge(connection: Connection, before: datetime) -> None:
    """Remove some of the keys from before then. Skips what others are at, so that nobody waits for a purge."""
    column = idempotency_keys.c
    expired = (
        select(column.key_id)
        .where(column.created_at <= before)
        .order_by(column.created_at)
        .limit(_PURGED_AT_ONCE)
        .with_for_update(skip_locked=True)
    )
    key_ids = connection.execute(expired).scalars().all()
    if key_ids:
        connection.execute(delete(idempotency_keys).where(column.key_id.in_(key_ids)))


def _held_by(reservation: Reservation) -> ColumnElement[bool]:
    column = idempotency_keys.c
    return and_(column.key_id == reservation.key_id, column.attempt == reservation.attempt, column.status.is_(None))


def _in_use() -> IdempotencyKeyInUse:
    return IdempotencyKeyInUse("a request with this Idempotency-Key is being carried out; repeat it later")
