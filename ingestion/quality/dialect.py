"""How the SQL of checks differs between warehouses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ingestion.formats.types import duckdb_type, quoted
from ingestion.model.schema import SchemaField


@dataclass(frozen=True)
class Dialect:
    """One warehouse's way to write what checks need. `mark` is the placeholder of parameter 0, 1, ...

    `expression` turns a client's expression, which DuckDB's parser has accepted, into the same one here.
    """

    quoted: Callable[[str], str]
    type_of: Callable[[SchemaField], str]
    mark: Callable[[int], str]
    count_if: Callable[[str], str]
    expression: Callable[[str], str]
    has_match: str
    text_type: str
    boolean_type: str


DUCKDB = Dialect(
    quoted=quoted,
    type_of=duckdb_type,
    mark=lambda position: "?",
    count_if=lambda condition: f"count(*) FILTER (WHERE {condition})",
    expression=lambda text: text,
    has_match="regexp_matches",
    text_type="VARCHAR",
    boolean_type="BOOLEAN",
)
