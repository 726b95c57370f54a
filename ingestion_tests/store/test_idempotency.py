"""Idempotency keys: reserved by one, completed once, forgotten after a day."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from sqlalchemy import func, select

from ingestion import clock
from ingestion.errors import IdempotencyKeyInUse, IdempotencyKeyReused
from ingestion.store import Reservation, Store, StoredAnswer
from ingestion.store.idempotency import LEASE, REMEMBERED
from ingestion.store.tables import idempotency_keys
from ingestion_tests.store.conftest import PROCESSES

ANSWER = StoredAnswer(201, {"location": "/sources/1", "etag": 'W/"v1"'}, '{"name": "Müller \\u0000"}\n')


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.at = clock.now()

    def now(self) -> datetime:
        return self.at


@pytest.fixture
def moving(monkeypatch: pytest.MonkeyPatch) -> Clock:
    moved = Clock()
    monkeypatch.setattr(clock, "now", moved.now)
    return moved


def reserved(store: Store, key_id: str = "k1", fingerprint: str = "f1") -> Reservation:
    found = store.idempotency.reserve(key_id, fingerprint)
    assert isinstance(found, Reservation)
    return found


def stored_keys(store: Store) -> int:
    with store.idempotency._database.read() as connection:
        return connection.execute(select(func.count()).select_from(idempotency_keys)).scalar_one()


def test_a_key_is_reserved_once_and_then_has_its_answer(store: Store) -> None:
    first = reserved(store)
    assert (first.attempt, first.is_repeat) == (1, False)
    with pytest.raises(IdempotencyKeyInUse):
        store.idempotency.reserve("k1", "f1")
    assert store.idempotency.complete(first, ANSWER)
    assert store.idempotency.reserve("k1", "f1") == ANSWER
    assert reserved(store, "k2").resource_id != first.resource_id


@pytest.mark.parametrize("is_completed", [False, True])
def test_a_key_belongs_to_what_was_asked_with_it(store: Store, is_completed: bool) -> None:
    first = reserved(store)
    if is_completed:
        store.idempotency.complete(first, ANSWER)
    with pytest.raises(IdempotencyKeyReused):
        store.idempotency.reserve("k1", "f2")


def test_a_released_key_is_as_if_it_never_was(store: Store) -> None:
    first = reserved(store)
    store.idempotency.release(first)
    second = reserved(store, fingerprint="f2")
    assert not second.is_repeat
    assert second.resource_id != first.resource_id


def test_an_abandoned_key_goes_on_at_once_with_the_same_resource(store: Store) -> None:
    first = reserved(store)
    assert store.idempotency.abandon(first)
    second = reserved(store)
    assert second.is_repeat
    assert second.resource_id == first.resource_id
    with pytest.raises(IdempotencyKeyInUse):
        store.idempotency.reserve("k1", "f1")


def test_a_lease_that_ran_out_is_taken_over_and_the_late_first_changes_nothing(store: Store, moving: Clock) -> None:
    first = reserved(store)
    moving.at += LEASE - timedelta(seconds=1)
    with pytest.raises(IdempotencyKeyInUse):
        store.idempotency.reserve("k1", "f1")
    moving.at += timedelta(seconds=1)
    second = reserved(store)
    assert (second.attempt, second.resource_id) == (2, first.resource_id)
    assert not store.idempotency.renew(first)
    assert not store.idempotency.complete(first, StoredAnswer(200, {}, "late"))
    assert not store.idempotency.abandon(first)
    store.idempotency.release(first)
    assert store.idempotency.complete(second, ANSWER)
    assert store.idempotency.reserve("k1", "f1") == ANSWER


def test_a_renewed_lease_holds_on(store: Store, moving: Clock) -> None:
    first = reserved(store)
    for _ in range(5):
        moving.at += LEASE / 2
        assert store.idempotency.renew(first)
    with pytest.raises(IdempotencyKeyInUse):
        store.idempotency.reserve("k1", "f1")


def test_an_answer_stays(store: Store) -> None:
    first = reserved(store)
    store.idempotency.complete(first, ANSWER)
    assert not store.idempotency.complete(first, StoredAnswer(200, {}, "another"))
    store.idempotency.release(first)
    assert store.idempotency.reserve("k1", "f1") == ANSWER


def test_a_key_is_new_again_after_a_day(store: Store, moving: Clock) -> None:
    first = reserved(store)
    store.idempotency.complete(first, ANSWER)
    moving.at += REMEMBERED - timedelta(seconds=1)
    assert store.idempotency.reserve("k1", "f1") == ANSWER
    moving.at += timedelta(seconds=1)
    again = reserved(store, fingerprint="f2")
    assert not again.is_repeat
    assert again.resource_id != first.resource_id


def test_reserving_removes_what_is_older_than_a_day(store: Store, moving: Clock) -> None:
    for number in range(3):
        store.idempotency.complete(reserved(store, f"old{number}"), ANSWER)
    reserved(store, "never completed")
    moving.at += REMEMBERED / 2
    store.idempotency.complete(reserved(store, "young"), ANSWER)
    moving.at += REMEMBERED / 2
    assert stored_keys(store) == 5
    reserved(store, "new")
    assert stored_keys(store) == 2
    assert store.idempotency.reserve("young", "f1") == ANSWER


def _outcome(store: Store, key_id: str) -> str:
    try:
        found = store.idempotency.reserve(key_id, "f1")
    except IdempotencyKeyInUse:
        return "in use"
    return found.resource_id if isinstance(found, Reservation) else found.body


def test_of_fifty_at_once_one_gets_the_key(store: Store) -> None:
    with ThreadPoolExecutor(50) as pool:
        outcomes = list(pool.map(_outcome, [store] * 50, ["k1"] * 50))
    assert outcomes.count("in use") == 49


def test_of_fifty_at_once_one_takes_over(store: Store) -> None:
    first = reserved(store)
    store.idempotency.abandon(first)
    with ThreadPoolExecutor(50) as pool:
        outcomes = list(pool.map(_outcome, [store] * 50, ["k1"] * 50))
    assert outcomes.count("in use") == 49
    assert outcomes.count(first.resource_id) == 1


def test_expired_keys_that_all_come_back_at_once_are_each_reserved_once(store: Store, moving: Clock) -> None:
    key_ids = [f"k{number}" for number in range(20)]
    for key_id in key_ids:
        store.idempotency.complete(reserved(store, key_id), ANSWER)
    moving.at += REMEMBERED
    with ThreadPoolExecutor(20) as pool:
        outcomes = list(pool.map(_outcome, [store] * 40, key_ids * 2))
    assert outcomes.count("in use") == 20
    assert len(set(outcomes)) == 21


def _outcomes_in_process(url: str) -> list[str]:
    with Store.open(url) as store:
        return [_outcome(store, f"k{number}") for number in range(20)]


def test_processes_share_the_keys(store: Store, store_url: str, processes: ProcessPoolExecutor) -> None:
    outcomes = list(processes.map(_outcomes_in_process, [store_url] * PROCESSES))
    for of_one_key in zip(*outcomes, strict=True):
        assert of_one_key.count("in use") == PROCESSES - 1
