"""Promise 5: two executions of one pipeline never write at the same time, however many processes ask."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from ingestion_tests.servers.postgres import PostgresServer
from ingestion_tests.servers.slow_source import execute, slow_pipeline
from ingestion_tests.servers.stack import Stack, start_stack, wait_final, wait_for

CALLS = 50


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def either_stack(
    request: pytest.FixtureRequest, postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """The service over each store; with PostgreSQL, Dagster's storage is there too."""
    if request.param == "sqlite":
        yield request.getfixturevalue("stack")
        return
    running = start_stack(
        tmp_path_factory.mktemp("pg") / "home",
        INGESTION_DATABASE_URL=postgres.create_database("one_writer_store"),
        INGESTION_DAGSTER_DATABASE_URL=postgres.create_database("one_writer_dagster"),
    )
    yield running
    assert running.stop() == 0


def test_fifty_simultaneous_calls_give_one_acceptance(either_stack: Stack, postgres: PostgresServer) -> None:
    with either_stack.client() as client:
        pipeline_id = slow_pipeline(client, postgres, seconds=5)

        def call(_: int) -> httpx.Response:
            with either_stack.client() as own:
                return own.post(f"/pipelines/{pipeline_id}/execute")

        with ThreadPoolExecutor(CALLS) as pool:
            answers = list(pool.map(call, range(CALLS)))
        assert Counter(answer.status_code for answer in answers) == {202: 1, 409: CALLS - 1}
        (accepted,) = [answer.json()["data"]["execution_id"] for answer in answers if answer.status_code == 202]
        refusals = [answer.json() for answer in answers if answer.status_code == 409]
        assert {body["error"] for body in refusals} == {"PIPELINE_ALREADY_RUNNING"}
        assert all(accepted in body["message"] for body in refusals)
        assert wait_final(client, accepted)["status"] == "SUCCESS"
        assert client.get(f"/pipelines/{pipeline_id}/executions").json()["pagination"]["total_items"] == 1


def test_a_forced_execution_waits_for_the_running_one(either_stack: Stack, postgres: PostgresServer) -> None:
    with either_stack.client() as client:
        pipeline_id = slow_pipeline(client, postgres, seconds=2)
        first = execute(client, pipeline_id)
        wait_for(client, first, "RUNNING")
        second = execute(client, pipeline_id, force_execution=True)
        assert client.get(f"/executions/{second}").json()["data"]["status"] == "PENDING"
        ended = wait_final(client, first)
        assert client.get(f"/executions/{second}").json()["data"]["status"] in ("PENDING", "RUNNING")
        last = wait_final(client, second)
        assert ended["status"] == last["status"] == "SUCCESS"


def test_an_inactive_pipeline_runs_only_by_force(either_stack: Stack, postgres: PostgresServer) -> None:
    with either_stack.client() as client:
        pipeline_id = slow_pipeline(client, postgres, seconds=0)
        assert client.put(f"/pipelines/{pipeline_id}", json={"is_active": False}).status_code == 200
        refused = client.post(f"/pipelines/{pipeline_id}/execute")
        assert (refused.status_code, refused.json()["error"]) == (400, "INVALID_CONFIGURATION")
        assert wait_final(client, execute(client, pipeline_id, force_execution=True))["status"] == "SUCCESS"


def test_a_synchronous_execution_answers_when_it_is_done(either_stack: Stack, postgres: PostgresServer) -> None:
    with either_stack.client() as client:
        pipeline_id = slow_pipeline(client, postgres, seconds=0.2)
        answer = client.post(f"/pipelines/{pipeline_id}/execute", json={"async_execution": False})
        assert answer.status_code == 200, answer.text
        assert answer.json()["data"]["status"] == "SUCCESS"
        assert answer.json()["data"]["records_processed"] == 1000
