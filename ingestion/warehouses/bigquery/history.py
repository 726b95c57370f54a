"""SCD2: the statements that close versions and add new ones, inside the publish transaction."""

from __future__ import annotations

from collections.abc import Sequence

from ingestion.errors import TargetFailed
from ingestion.formats.bigquery_types import column_list, quoted
from ingestion.model.load import HistoryColumns
from ingestion.warehouses.base import PublishRequest
from ingestion.warehouses.bigquery import resolution
from ingestion.warehouses.bigquery.scripts import INSTANT


def columns_of(request: PublishRequest) -> HistoryColumns:
    """What the history's columns are called."""
    return request.history or HistoryColumns()


def keeping(request: PublishRequest, target: str, judged: str) -> Sequence[str]:
    """End the versions that have a successor, are deleted, or were not read where that means deleted; add the new."""
    if request.as_of is None:
        raise TargetFailed("a history needs the instant at which its versions begin")
    columns = columns_of(request)
    begin, end, current = (quoted(name) for name in columns.names)
    fields = resolution.key_fields(request.schema, request.key)
    same = " AND ".join(
        f"{resolution.comparable(field, 't.')} = {resolution.comparable(field, 'r.')}" for field in fields
    )

    def closing(test: str) -> str:
        return (
            f"UPDATE {target} AS t SET {end} = {INSTANT}, {current} = FALSE WHERE t.{current} AND {test};\n"
            "SET closed = closed + @@row_count;"
        )

    def having(verdict: str) -> str:
        return f"EXISTS (SELECT 1 FROM {judged} AS r WHERE {same} AND r.{resolution.VERDICT} {verdict})"

    # Never before a version that is there: clocks may differ.
    statements = [
        f"SET {INSTANT} = GREATEST(@as_of, COALESCE((SELECT MAX(GREATEST({begin}, COALESCE({end}, {begin}))) "
        f"FROM {target}), @as_of));",
        closing(having("IS NULL")),
        "SET updated = closed;",
        closing(having(f"= '{resolution.DELETED}'")),
    ]
    if request.close_absent:
        statements.append(closing(f"NOT EXISTS (SELECT 1 FROM {judged} AS r WHERE {same})"))
    listed = column_list(request.schema.names)
    unchanged = f"(SELECT COUNT(*) FROM {judged} WHERE {resolution.VERDICT} = '{resolution.PRESENT}')"
    return [
        *statements,
        "SET deleted = closed - updated;",
        f"SET unchanged = {unchanged};",
        f"INSERT INTO {target} ({listed}, {begin}, {end}, {current}) SELECT {listed}, {INSTANT}, NULL, TRUE "
        f"FROM {judged} WHERE {resolution.VERDICT} IS NULL;",
        "SET loaded = @@row_count;",
    ]
