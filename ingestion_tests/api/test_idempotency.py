"""Idempotency keys: a repeated POST is carried out once and has the same answer."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from anyio import to_thread
from sqlalchemy import event, update
from sqlalchemy.engine import Engine
from starlette.datastructures import Headers

from api import idempotency
from api.auth.tokens import issue_token
from api.endpoint import BASE_PATH
from api.idempotency import HEADER, LONGEST_KEY, REPLAYED, fingerprint_of, key_of, scoped
from ingestion import clock
from ingestion.errors import InvalidRequest, LaunchFailed, ServiceUnavailable
from ingestion.store import IdempotencyRepository, Page, Reservation
from ingestion.store.tables import idempotency_keys
from ingestion_tests.api.conftest import PIPELINE, SOURCE, Makes, refused
from ingestion_tests.api.live import ADMIN, Live, live

Request = tuple[str, dict[str, Any]]
"""Path and body of a POST."""


def a_key() -> str:
    return str(uuid.uuid4())


def post(client: httpx.Client, request: Request, key: str, **parameters: str) -> httpx.Response:
    path, body = request
    return client.post(path, json=body, headers={HEADER: key}, params=parameters)


def _create_source(_service: Live, _makes: Makes) -> Request:
    return "/sources", SOURCE | {"name": a_key()}


def _create_pipeline(_service: Live, makes: Makes) -> Request:
    return "/pipelines", PIPELINE | {"pipeline_name": a_key(), "source_id": makes.source()["source_id"]}


def _execute(_service: Live, makes: Makes) -> Request:
    body = {"force_execution": True, "execution_params": {"batch_size": 5}}
    return f"/pipelines/{makes.pipeline()['pipeline_id']}/execute", body


def _retry(service: Live, makes: Makes) -> Request:
    execution_id = makes.execution()["execution_id"]
    service.fail(execution_id)
    return f"/executions/{execution_id}/retry", {}


def _cancel(_service: Live, makes: Makes) -> Request:
    return f"/executions/{makes.execution()['execution_id']}/cancel", {}


def _test_connection(_service: Live, _makes: Makes) -> Request:
    return "/sources/test-connection", {key: SOURCE[key] for key in ("source_type", "connection_details")}


MAKING: dict[str, Callable[[Live, Makes], Request]] = {
    "create source": _create_source,
    "create pipeline": _create_pipeline,
    "execute": _execute,
    "retry": _retry,
}
REQUESTS = MAKING | {"cancel": _cancel, "test connection": _test_connection}


def things(service: Live) -> tuple[int, int, int, int]:
    """How many sources, pipelines, unfinished executions and launched runs there are."""
    store = service.store
    return (
        store.sources.list(Page()).total,
        store.pipelines.list(Page()).total,
        len(store.executions.unfinished()),
        len(service.dagster.launches),
    )


@contextmanager
def interrupted(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Between carrying out and storing the answer everything stops, and then the lease runs out."""

    def dying(self: IdempotencyRepository, reservation: Reservation, _answer: object) -> bool:
        self.abandon(reservation)
        raise ServiceUnavailable("gone")

    with monkeypatch.context() as patch:
        patch.setattr(IdempotencyRepository, "complete", dying)
        yield


@pytest.mark.parametrize("name", REQUESTS)
def test_a_repeat_has_the_same_answer_and_does_nothing(
    service: Live, client: httpx.Client, makes: Makes, name: str
) -> None:
    request, key = REQUESTS[name](service, makes), a_key()
    first = post(client, request, key)
    assert first.is_success
    assert REPLAYED not in first.headers
    before = things(service)
    for given in (key, f'"{key}"'):
        again = post(client, request, given)
        assert (again.status_code, again.content) == (first.status_code, first.content)
        own = {"date", "x-request-id", REPLAYED.lower()}
        assert {k: v for k, v in again.headers.items() if k not in own} == {
            k: v for k, v in first.headers.items() if k not in own
        }
        assert again.headers[REPLAYED] == "true"
        assert again.headers["X-Request-ID"] != first.headers["X-Request-ID"]
    assert things(service) == before


def test_the_same_key_with_another_body_is_refused(client: httpx.Client) -> None:
    key, name = a_key(), a_key()
    first = post(client, ("/sources", SOURCE | {"name": name}), key)
    assert first.status_code == 201
    refused(post(client, ("/sources", SOURCE | {"name": "other"}), key), 422, "IDEMPOTENCY_KEY_REUSED")
    # Order and spaces say nothing.
    turned = dict(reversed((SOURCE | {"name": name}).items()))
    assert post(client, ("/sources", turned), key).content == first.content


def test_a_key_belongs_to_principal_and_path(service: Live, client: httpx.Client, makes: Makes) -> None:
    key, request = a_key(), _execute(service, makes)
    first = post(client, request, key)
    assert post(client, _execute(service, makes), key).json()["data"] != first.json()["data"]
    token = issue_token(service.settings, "admin", "other@example.com")
    with service.client(None, {"Authorization": f"Bearer {token}"}) as other:
        answer = post(other, request, key)
    assert answer.status_code == 202
    assert answer.json()["data"]["execution_id"] != first.json()["data"]["execution_id"]
    path, body = request
    assert post(client, (path + "/", body), key).content == first.content


def test_a_replay_needs_the_permission_too(service: Live, client: httpx.Client, makes: Makes) -> None:
    key, request = a_key(), _execute(service, makes)
    assert post(client, request, key).status_code == 202
    with service.client("read_only") as reader, service.client(None) as nobody:
        refused(post(reader, request, key), 403, "PERMISSION_DENIED")
        refused(post(nobody, request, key), 401, "AUTH_ERROR")


def test_refusals_are_not_remembered(service: Live, client: httpx.Client, makes: Makes) -> None:
    key, name = a_key(), makes.source()["name"]
    refused(post(client, ("/sources", {"name": name}), key), 400, "VALIDATION_ERROR")
    refused(post(client, ("/sources", SOURCE | {"name": name}), key), 409, "RESOURCE_ALREADY_EXISTS")
    assert post(client, ("/sources", SOURCE | {"name": a_key()}), key).status_code == 201

    pipeline_id = makes.pipeline()["pipeline_id"]
    request: Request = (f"/pipelines/{pipeline_id}/execute", {})
    running = post(client, request, a_key()).json()["data"]["execution_id"]
    key = a_key()
    refused(post(client, request, key), 409, "PIPELINE_ALREADY_RUNNING", running)
    service.fail(running)
    answer = post(client, request, key)
    assert answer.status_code == 202
    assert REPLAYED not in answer.headers
    refused(post(client, ("/pipelines/nobody/execute", {}), key), 404, "RESOURCE_NOT_FOUND")


def test_a_check_does_not_use_the_key(client: httpx.Client) -> None:
    key, request = a_key(), ("/sources", SOURCE | {"name": a_key()})
    assert post(client, request, key, validate_only="true").status_code == 200
    assert post(client, request, key).status_code == 201
    checked = post(client, request, key, validate_only="true")
    refused(checked, 409, "RESOURCE_ALREADY_EXISTS")


def test_only_posts_take_keys(client: httpx.Client, makes: Makes) -> None:
    source, headers = makes.source(), {HEADER: a_key()}
    for description in ("one", "two"):
        path = f"/sources/{source['source_id']}"
        changed = client.put(path, json={"description": description}, headers=headers)
        assert changed.json()["data"]["description"] == description
        assert client.get(path, headers=headers).json() == client.get(path).json()


def test_while_the_first_is_carried_out_a_repeat_has_to_wait(service: Live, client: httpx.Client, makes: Makes) -> None:
    key, request = a_key(), _execute(service, makes)
    entered, leave = threading.Event(), threading.Event()

    async def wait() -> None:
        entered.set()
        await to_thread.run_sync(leave.wait, 20)

    service.dagster.while_launching = wait
    try:
        with ThreadPoolExecutor(1) as pool:
            first = pool.submit(post, client, request, key)
            assert entered.wait(20)
            again = post(client, request, key)
            refused(post(client, (request[0], {}), key), 422, "IDEMPOTENCY_KEY_REUSED")
            leave.set()
            assert first.result().status_code == 202
    finally:
        service.dagster.while_launching = None
        leave.set()
    refused(again, 409, "IDEMPOTENCY_KEY_IN_USE")
    assert int(again.headers["Retry-After"]) > 0
    assert post(client, request, key).content == first.result().content


@pytest.mark.parametrize("name", MAKING)
def test_an_attempt_that_was_killed_before_its_answer_was_stored_is_found(
    service: Live, client: httpx.Client, makes: Makes, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    request, key = MAKING[name](service, makes), a_key()
    with interrupted(monkeypatch):
        first = post(client, request, key)
    before = things(service)
    second = post(client, request, key)
    assert second.json() == first.json()
    assert (second.status_code, second.headers["Location"]) == (first.status_code, first.headers["Location"])
    assert REPLAYED not in second.headers
    assert post(client, request, key).headers[REPLAYED] == "true"
    assert things(service) == before


@pytest.mark.parametrize("name", MAKING)
def test_an_attempt_that_was_killed_before_it_made_anything_is_carried_out(
    service: Live, client: httpx.Client, makes: Makes, name: str
) -> None:
    (path, body), key = MAKING[name](service, makes), a_key()
    keys = service.store.idempotency
    key_id = scoped(ADMIN, "POST", BASE_PATH + path, key)
    reservation = keys.reserve(key_id, fingerprint_of(body))
    assert isinstance(reservation, Reservation)
    refused(post(client, (path, body), key), 409, "IDEMPOTENCY_KEY_IN_USE")
    keys.abandon(reservation)
    answer = post(client, (path, body), key)
    assert answer.is_success
    assert reservation.resource_id in answer.text


def _die_before_the_answer_is_stored(home: Path, request: Request, key: str) -> None:
    def die(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    IdempotencyRepository.complete = die  # type: ignore[method-assign, assignment]
    with live(home) as service, service.client() as client:
        post(client, request, key)


def test_a_process_killed_after_it_accepted_leaves_one_execution(tmp_path: Path) -> None:
    key = a_key()
    with live(tmp_path) as service, service.client() as client:
        request = _execute(service, Makes(client))
    process = multiprocessing.get_context("spawn").Process(
        target=_die_before_the_answer_is_stored, args=(tmp_path, request, key)
    )
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    with live(tmp_path) as service, service.client() as client:
        executions = service.store.executions
        left = executions.unfinished()
        assert len(left) == 1
        refused(post(client, request, key), 409, "IDEMPOTENCY_KEY_IN_USE")
        with service.store.idempotency._database.write() as connection:
            connection.execute(update(idempotency_keys).values(leased_until=clock.now()))
        answer = post(client, request, key)
        assert answer.status_code == 202
        assert answer.json()["data"]["execution_id"] == left[0].execution_id
        assert [execution.execution_id for execution in executions.unfinished()] == [left[0].execution_id]
        assert post(client, request, key).content == answer.content


def test_a_killed_execute_of_a_pipeline_that_changed_meanwhile_is_found(
    service: Live, client: httpx.Client, makes: Makes, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline, key = makes.pipeline(), a_key()
    request: Request = (f"/pipelines/{pipeline['pipeline_id']}/execute", {"async_execution": False})
    with interrupted(monkeypatch), ThreadPoolExecutor(1) as pool:
        first = pool.submit(post, client, request, key)
        service.wait_until(lambda: bool(service.store.executions.list(pipeline["pipeline_id"], Page()).items))
        execution = service.store.executions.list(pipeline["pipeline_id"], Page()).items[0]
        service.fail(execution.execution_id)
        assert first.result().status_code == 200
    client.put(f"/pipelines/{pipeline['pipeline_id']}", json={"is_active": False})
    again = post(client, request, key)
    assert (again.status_code, again.json()) == (200, first.result().json())


def test_an_execution_that_was_not_launched_is_not_remembered(
    service: Live, client: httpx.Client, makes: Makes
) -> None:
    key, request = a_key(), _execute(service, makes)
    service.dagster.launch_errors = [LaunchFailed("no")]
    refused(post(client, request, key), 500, "EXECUTION_ERROR")
    answer = post(client, request, key)
    assert answer.status_code == 202
    assert service.dagster.run_of(answer.json()["data"]["execution_id"])
    assert post(client, request, key).content == answer.content


def test_after_a_defect_a_repeat_finds_what_was_made(service: Live, client: httpx.Client, makes: Makes) -> None:
    key, request = a_key(), _execute(service, makes)

    async def fail() -> None:
        raise RuntimeError("a defect")

    service.dagster.while_launching = fail
    try:
        refused(post(client, request, key), 500, "INTERNAL_ERROR")
    finally:
        service.dagster.while_launching = None
    pipeline_id = request[0].split("/")[2]
    made = service.store.executions.list(pipeline_id, Page()).items
    answer = post(client, request, key)
    assert [execution.execution_id for execution in made] == [answer.json()["data"]["execution_id"]]


def test_fifty_at_once_make_one_execution(service: Live, client: httpx.Client, makes: Makes) -> None:
    key, request = a_key(), _execute(service, makes)
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda _: post(client, request, key), range(50)))
    pipeline_id = request[0].split("/")[2]
    assert service.store.executions.list(pipeline_id, Page()).total == 1
    carried_out = [answer for answer in answers if answer.status_code == 202]
    for answer in answers:
        if answer.status_code != 202:
            refused(answer, 409, "IDEMPOTENCY_KEY_IN_USE")
    assert len({answer.content for answer in carried_out}) == 1
    assert sum(REPLAYED not in answer.headers for answer in carried_out) == 1


def test_a_long_request_keeps_its_key(
    service: Live, client: httpx.Client, makes: Makes, monkeypatch: pytest.MonkeyPatch
) -> None:
    renewals: list[Reservation] = []
    renew = IdempotencyRepository.renew

    def noted(self: IdempotencyRepository, reservation: Reservation) -> bool:
        renewals.append(reservation)
        return renew(self, reservation)

    async def wait() -> None:
        await to_thread.run_sync(lambda: service.wait_until(lambda: len(renewals) >= 3))

    monkeypatch.setattr(IdempotencyRepository, "renew", noted)
    monkeypatch.setattr(idempotency, "LEASE", timedelta(milliseconds=90))
    monkeypatch.setattr(service.dagster, "while_launching", wait)
    assert post(client, _execute(service, makes), a_key()).status_code == 202
    assert len(set(renewals)) == 1


def test_without_a_key_nothing_is_asked_of_the_store(client: httpx.Client, makes: Makes) -> None:
    seen: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        seen.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        makes.execution()
        unkeyed = len(seen)
        client.post("/sources", json=SOURCE | {"name": a_key()}, headers={HEADER: a_key()})
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    assert not [statement for statement in seen[:unkeyed] if "idempotency" in statement]
    assert [statement for statement in seen[unkeyed:] if "idempotency" in statement]


@pytest.mark.parametrize(
    ("given", "key"),
    [
        ("abc", "abc"),
        ('"abc"', "abc"),
        ("  a b:/c  ", "a b:/c"),
        (r'"a\"b\\c"', r'a"b\c'),
        ("x" * LONGEST_KEY, "x" * LONGEST_KEY),
        (f'"{"x" * LONGEST_KEY}"', "x" * LONGEST_KEY),
    ],
)
def test_keys_are_bare_or_quoted(given: str, key: str) -> None:
    assert key_of(Headers({HEADER: given})) == key


@pytest.mark.parametrize(
    "given", ["", " ", '""', '"abc', 'abc"d"', '"a"b"', r'"a\b"', '"abc";a=1', "ü", "a\tb", "x" * (LONGEST_KEY + 1)]
)
def test_other_keys_are_invalid(given: str) -> None:
    with pytest.raises(InvalidRequest, match=HEADER):
        key_of(Headers({HEADER: given}))


def test_a_key_is_there_at_most_once(client: httpx.Client) -> None:
    assert key_of(Headers({})) is None
    twice = client.post("/sources", json=SOURCE, headers=[(HEADER, "a"), (HEADER, "b")])
    refused(twice, 400, "VALIDATION_ERROR", HEADER, "more than once")
