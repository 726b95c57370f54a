"""Where a database is reached."""

from __future__ import annotations

from typing import Any

import pytest

from ingestion.errors import ConnectionFailed
from ingestion.model.connections import CloudSqlConnection
from ingestion.sources.base import ConnectorContext
from ingestion.sources.cloud_sql import Endpoint, endpoint_of, instance_path


def connection(**details: Any) -> CloudSqlConnection:
    return CloudSqlConnection.model_validate({"database": "d", **details})


def test_hosts_and_sockets_are_what_they_are(context: ConnectorContext) -> None:
    with endpoint_of(connection(host="db", port=7), context) as endpoint:
        assert endpoint == Endpoint(host="db", port=7)
    with endpoint_of(connection(unix_socket="/run/db"), context) as endpoint:
        assert endpoint == Endpoint(unix_socket="/run/db")
    assert endpoint.failure() is None


@pytest.mark.parametrize(
    ("details", "path"),
    [
        ({"instance_name": "i", "region": "r", "project_id": "p"}, ("p", "r", "i")),
        ({"instance_name": "i", "region": "r"}, ("default", "r", "i")),
        ({"instance_name": "p:r:i"}, ("p", "r", "i")),
        ({"instance_name": "example.com:p:r:i", "region": "other"}, ("example.com:p", "r", "i")),
    ],
)
def test_instances_have_a_project_and_a_region(details: dict[str, Any], path: tuple[str, str, str]) -> None:
    assert instance_path(connection(**details), "default") == path


@pytest.mark.parametrize(
    ("details", "missing"),
    [({"instance_name": "i"}, "project_id and region"), ({"instance_name": "p:i"}, "project_id and region")],
)
def test_what_is_missing_is_named(details: dict[str, Any], missing: str) -> None:
    with pytest.raises(ConnectionFailed, match=f"without {missing}: .* as project:region:instance"):
        instance_path(connection(**details), None)
