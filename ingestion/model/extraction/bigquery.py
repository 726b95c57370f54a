"""`extraction_params` of BigQuery sources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from pydantic import Field

from ingestion.model.connections import BigQueryConnection, ConnectionDetails
from ingestion.model.extraction.databases import DatabaseExtraction
from ingestion.model.problems import Problem


class BigQueryExtraction(DatabaseExtraction):
    """A table or a read-only query in GoogleSQL. A query that would bill more bytes than allowed is not run."""

    refused: ClassVar[Mapping[str, str]] = {
        "partition_column": "is not needed: BigQuery's own streams are read at once",
        "partitions": "is not needed: BigQuery's own streams are read at once",
        "statement_timeout_seconds": "is not supported for BigQuery; maximum_bytes_billed bounds what a query may cost",
    }
    maximum_bytes_billed: int | None = Field(default=None, ge=1)

    def problems(self, connection: ConnectionDetails, prefix: str) -> Sequence[Problem]:
        """What cannot work on that source: a table is named here or in the source's connection_details."""
        has_table = isinstance(connection, BigQueryConnection) and connection.table is not None
        checked = self
        if has_table and self.table is None and self.query is None:
            checked = self.model_copy(update={"table": "from the connection"})
        return [
            *super(BigQueryExtraction, checked).problems(connection, prefix),
            *(
                Problem(f"{prefix}.{name}", why)
                for name, why in self.refused.items()
                if getattr(self, name) is not None
            ),
        ]
