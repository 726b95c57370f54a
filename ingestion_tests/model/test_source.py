from __future__ import annotations

from ingestion.model.connections import GcsConnection
from ingestion.model.source_type import SourceType
from ingestion_tests.store.samples import a_source


def test_a_source_gives_its_connection_as_its_type_s_model() -> None:
    source = a_source(source_type=SourceType.GCS, connection_details={"bucket_name": "b"})
    assert source.connection() == GcsConnection(bucket_name="b")
