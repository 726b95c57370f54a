from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from ingestion.model.connections import CloudSqlConnection
from ingestion.model.extraction import DatabaseExtraction

LOGIN = {"username": "reader"}


@pytest.mark.parametrize(
    ("details", "message"),
    [
        ({}, "exactly one of instance_name, host and unix_socket is needed, but none of them given"),
        ({"host": "h", "unix_socket": "/s"}, "but host and unix_socket given"),
        ({"host": "h", "iam_auth": True, "credentials": LOGIN}, "iam_auth only mean something with instance_name"),
        ({"host": "h", "ip_type": "PSC", "endpoint": "https://x"}, "ip_type and endpoint only mean something"),
        ({"instance_name": "i", "iam_auth": True}, "iam_auth needs credentials.username"),
        ({"instance_name": "i", "ip_type": "SECRET"}, "PUBLIC"),
        ({"instance_name": "i", "endpoint": "sqladmin.googleapis.com"}, "is not an http:// or https:// address"),
        (
            {"instance_name": "i", "endpoint": "https://elsewhere.example", "credentials_secret": "env://KEY"},
            "not to https://elsewhere.example",
        ),
    ],
)
def test_what_cannot_be_a_connection(details: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        CloudSqlConnection.model_validate({"database": "d", **details})


@pytest.mark.parametrize(
    ("details", "is_fine"),
    [
        ({"instance_name": "i"}, False),
        ({"instance_name": "i", "region": "r"}, True),
        ({"instance_name": "p:r:i"}, True),
        ({"host": "h"}, True),
    ],
)
def test_a_pipeline_on_an_instance_that_cannot_be_found_is_refused(details: dict[str, Any], is_fine: bool) -> None:
    connection = CloudSqlConnection.model_validate({"database": "d", **details})
    problems = DatabaseExtraction(table="t").problems(connection, "extraction_params")
    assert [problem.field for problem in problems] == ([] if is_fine else ["source_id"])
