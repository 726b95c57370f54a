"""The contract's three code samples, run as printed with only base URL, token and ids replaced."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from ingestion_tests.servers.stack import Stack, wait_final
from ingestion_tests.wire.golden import CONTRACT

SAMPLES = Path(__file__).parent / "samples"
PRINTED_SOURCE = "550e8400-e29b-41d4-a716-446655440000"
PRINTED_PIPELINE = "550e8400-e29b-41d4-a716-446655440010"
PRINTED_EXECUTION = "550e8400-e29b-41d4-a716-446655440020"


@pytest.fixture(scope="module")
def ids(stack: Stack) -> dict[str, str]:
    """A source, a pipeline on it and a finished execution, under the ids that the samples print."""
    stack.put_rows("samples-bucket", "sales_1.csv", ("sale_id", "quantity"), [("S1", 1), ("S2", 2)])
    with stack.client() as client:
        source = {
            "name": "Samples",
            "source_type": "GCS",
            "connection_details": {"bucket_name": "samples-bucket", "file_pattern": "*.csv"},
        }
        source_id = client.post("/sources", json=source).json()["data"]["source_id"]
        body = CONTRACT["Create Pipeline"]["request"] | {
            "source_id": source_id,
            "pipeline_name": "Samples",
            "target_table": "samples",
        }
        pipeline_id = client.post("/pipelines", json=body).json()["data"]["pipeline_id"]
        execution_id = client.post(f"/pipelines/{pipeline_id}/execute").json()["data"]["execution_id"]
        assert wait_final(client, execution_id)["status"] == "SUCCESS"
    return {PRINTED_SOURCE: source_id, PRINTED_PIPELINE: pipeline_id, PRINTED_EXECUTION: execution_id}


def replaced(name: str, stack: Stack, ids: dict[str, str]) -> str:
    text = (SAMPLES / name).read_text()
    text = text.replace("https://api.example.com/api/v1/ingestion", stack.api_url)
    text = text.replace("YOUR_ACCESS_TOKEN", stack.token("data_engineer"))
    for printed, real in ids.items():
        text = text.replace(printed, real)
    return text


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def settle(stack: Stack, pipeline_id: str) -> None:
    """Let what a sample started come to its end, so that the next sample finds the pipeline free."""
    with stack.client() as client:
        for execution in client.get(f"/pipelines/{pipeline_id}/executions").json()["items"]:
            wait_final(client, execution["execution_id"])


def test_python_sample(stack: Stack, ids: dict[str, str]) -> None:
    output = run(sys.executable, "-c", replaced("sample.py.txt", stack, ids)).splitlines()
    settle(stack, ids[PRINTED_PIPELINE])
    assert output[0].startswith("Found ")
    assert output[0].endswith(" GCS sources")
    assert output[1].startswith("Created new source with ID: ")
    assert output[2].startswith("Started pipeline execution with ID: ")


def test_javascript_sample(stack: Stack, ids: dict[str, str], tmp_path: Path) -> None:
    script = tmp_path / "sample.js"
    script.write_text(replaced("sample.js", stack, ids))
    node = shutil.which("node")
    assert node is not None, "the JavaScript sample needs node"
    output = run(node, str(script)).splitlines()
    assert output[0].startswith("Found ")
    assert output[1].startswith("Created new pipeline with ID: ")
    assert output[2:] == ["Execution status: SUCCESS", "Records processed: 2"]


def test_curl_sample(stack: Stack, ids: dict[str, str]) -> None:
    output = run("bash", "-c", replaced("sample.sh", stack, ids))
    settle(stack, ids[PRINTED_PIPELINE])
    decoder, answers, rest = json.JSONDecoder(), [], output.strip()
    while rest:
        answer, end = decoder.raw_decode(rest)
        answers.append(answer)
        rest = rest[end:].strip()
    assert [answer["message"] for answer in answers] == [
        "Source systems retrieved successfully",
        "Source system created successfully",
        "Pipeline execution started successfully",
        "Pipeline execution data retrieved successfully",
    ]


def test_a_listed_source_of_the_samples_can_be_read_back(stack: Stack, ids: dict[str, str]) -> None:
    with stack.client("read_only") as client:
        answer: httpx.Response = client.get(f"/sources/{ids[PRINTED_SOURCE]}")
    assert answer.json()["data"]["name"] == "Samples"
