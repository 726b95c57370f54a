"""What the warehouse's tables, jobs and staged objects are called."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ingestion.formats.bigquery_types import quoted
from ingestion.model.pipeline import QUARANTINE_SUFFIX
from ingestion.warehouses.base import TargetTable

if TYPE_CHECKING:
    from google.cloud import bigquery

LOADS = "_ingestion_loads"
CURSORS = "_ingestion_cursors"
SWAPS = "_ingestion_swaps"
_NOT_IN_IDS = re.compile(r"[^A-Za-z0-9_-]")


@dataclass(frozen=True)
class Names:
    """The tables of one dataset, fit for GoogleSQL."""

    project: str
    dataset: str

    def table(self, name: str) -> str:
        """The quoted full name of a table."""
        return ".".join(quoted(part) for part in (self.project, self.dataset, name))

    def reference(self, name: str) -> bigquery.TableReference:
        """The table as the client takes it."""
        from google.cloud import bigquery

        return bigquery.DatasetReference(self.project, self.dataset).table(name)

    @property
    def loads(self) -> str:
        """The load records."""
        return self.table(LOADS)

    @property
    def cursors(self) -> str:
        """The cursors, each with its earlier values."""
        return self.table(CURSORS)

    @property
    def swaps(self) -> str:
        """The replacements of tables that are not on record yet."""
        return self.table(SWAPS)


def staging_table(execution_id: str, target: TargetTable) -> str:
    """The table with the execution's staged rows."""
    return f"_ingestion_staging_{target.table}_{_safe(execution_id)}"


def rejects_table(execution_id: str, target: TargetTable) -> str:
    """The table with the execution's rejected rows."""
    return f"{staging_table(execution_id, target)}_rejects"


def quarantine_table(target: TargetTable) -> str:
    """The table with all of the target's quarantined rows."""
    return target.table + QUARANTINE_SUFFIX


def job_id(kind: str, execution_id: str, *content: str) -> str:
    """The same id for the same work, so that a repeated request finds the first one's job."""
    digest = hashlib.sha256("\0".join((execution_id, *content)).encode()).hexdigest()[:12]
    return f"ingestion_{kind}_{_safe(execution_id)}_{digest}"


def _safe(text: str) -> str:
    return _NOT_IN_IDS.sub("_", text).replace("-", "_")
