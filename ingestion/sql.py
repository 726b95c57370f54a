"""SQL text for DuckDB: lists and relations, and the proof that a client's expression is nothing but an expression.

Expressions are judged by DuckDB's own parser, the one that will run them: no other parser can be
tricked into seeing something else.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb

from ingestion.formats.types import literal, quoted
from ingestion.model.schema import FieldMode, FieldType, SchemaField, TableSchema

_WRONG_CLASSES: Mapping[str, str] = {
    "SUBQUERY": "a subquery is not allowed",
    "WINDOW": "a window function is not allowed",
    "STAR": "* is not allowed, name the columns",
    "PARAMETER": "a parameter placeholder is not allowed",
    "POSITIONAL_REFERENCE": "a column by position is not allowed",
    "DEFAULT": "DEFAULT is not allowed",
}
# They read the server's settings instead of the row.
_REFUSED_FUNCTIONS = frozenset({"current_setting", "getvariable", "getenv"})


def column_list(names: Iterable[str], prefix: str = "") -> str:
    """Quoted names joined by commas, each behind `prefix` (such as `s.`)."""
    return ", ".join(prefix + quoted(name) for name in names)


def parquet_relation(files: Sequence[Path]) -> str:
    """The rows of Parquet files of one schema, in order, whatever characters the paths contain."""
    paths = ", ".join(literal(_escape_glob(str(path))) for path in files)
    # A folder named a=1 above the files must not become a column.
    return f"read_parquet([{paths}], hive_partitioning = false)"


def row_json(schema: TableSchema, prefix: str = "") -> str:
    """SQL for a whole row as a JSON object from which every value can be read back exactly.

    BYTES are base64 and numbers that JSON does not have are text; columns are read behind `prefix`.
    """
    members = ", ".join(
        f"{quoted(field.name)} := {_json_value(prefix + quoted(field.name), field)}" for field in schema.fields
    )
    return f"CAST(to_json(struct_pack({members})) AS VARCHAR)"


def _json_value(value: str, field: SchemaField, depth: int = 0) -> str:
    if field.mode is FieldMode.REPEATED:
        item = f"_ingestion_item{depth}"  # A column of the same name would hide it.
        one = field.model_copy(update={"mode": FieldMode.NULLABLE})
        return f"list_transform({value}, lambda {item}: {_json_value(item, one, depth + 1)})"
    if field.type is FieldType.RECORD:
        parts = ", ".join(
            f"{quoted(part.name)} := {_json_value(f'{value}.{quoted(part.name)}', part, depth)}"
            for part in field.fields or ()
        )
        return f"CASE WHEN {value} IS NOT NULL THEN struct_pack({parts}) END"
    if field.type is FieldType.BYTES:
        return f"to_base64({value})"
    if field.type is FieldType.FLOAT:
        return f"CASE WHEN isfinite({value}) THEN to_json({value}) ELSE to_json(CAST({value} AS VARCHAR)) END"
    return value


def _escape_glob(path: str) -> str:
    return "".join(f"[{char}]" if char in "[*?" else char for char in path)


@functools.lru_cache(maxsize=1024)
def expression_problem(text: str) -> str | None:
    """Why `text` cannot be used as one expression over a row, with the position; None when it can.

    Refused: several expressions or statements, aliases, subqueries, windows, aggregates, functions that
    do not exist, read files or settings, or answer differently at every call.
    """
    prefix = "SELECT "
    node, as_used = _parse(prefix + text, f"SELECT (\n{text}\n)")
    if isinstance(node, str):
        return _positioned(node, len(prefix), text)
    problem = _shape_problem(node, modifiers=0) or _alias_problem(node)
    if problem is None and isinstance(as_used, str):
        problem = "exactly one expression is needed, without a semicolon"
    return problem or _content_problem(node["select_list"], len(prefix), text)


@functools.lru_cache(maxsize=1024)
def ordering_problem(text: str) -> str | None:
    """Why `text` cannot be used after ORDER BY; None when it can."""
    prefix = "SELECT 1 ORDER BY "
    node, as_used = _parse(prefix + text, f"SELECT row_number() OVER (ORDER BY {text}\n, x)")
    if isinstance(node, str):
        return _positioned(node, len(prefix), text)
    problem = _shape_problem(node, modifiers=1)
    if problem is None and isinstance(as_used, str):
        problem = "a list of expressions with ASC or DESC is needed, without a semicolon"
    return problem or _content_problem(node["modifiers"], len(prefix), text)


def _parse(*statements: str) -> Sequence[dict[str, Any] | str]:
    """DuckDB's tree of each SELECT, or its error as `position|message`."""
    with duckdb.connect() as connection:
        return [_tree(connection, statement) for statement in statements]


def _tree(connection: duckdb.DuckDBPyConnection, statement: str) -> dict[str, Any] | str:
    try:
        row = connection.execute("SELECT json_serialize_sql(?)", [statement]).fetchone()
        answer: dict[str, Any] = json.loads(row[0]) if row else {"error": True, "error_message": "no answer"}
    except duckdb.Error as error:
        return f"|{error}"
    except RecursionError:
        return "|the expression is nested too deeply"
    if answer["error"]:
        return f"{answer.get('position', '')}|{answer['error_message']}"
    if len(answer["statements"]) != 1:
        return "|exactly one expression is needed, without a semicolon"
    node: dict[str, Any] = answer["statements"][0]["node"]
    return node


def _positioned(error: str, offset: int, text: str) -> str:
    position, _, message = error.partition("|")
    if "Only SELECT statements" in message:
        return "exactly one expression is needed, without a semicolon"
    if not position.isdigit():
        return message
    return f"{message} ({_place(text, int(position) - offset)})"


def _place(text: str, offset: int) -> str:
    """Where in a client's text the character at `offset` is, for people."""
    before = text[: max(offset, 0)]
    line, column = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
    return f"line {line}, column {column}"


def _shape_problem(node: Mapping[str, Any], modifiers: int) -> str | None:
    clauses = ("where_clause", "group_expressions", "group_sets", "having", "sample", "qualify")
    is_bare = (
        node.get("type") == "SELECT_NODE"
        and node["from_table"]["type"] == "EMPTY"
        and len(node["modifiers"]) == modifiers
        and all(modifier["type"] == "ORDER_MODIFIER" for modifier in node["modifiers"])
        and not any(node.get(clause) for clause in clauses)
        and not node["cte_map"]["map"]
    )
    if not is_bare:
        return "only an expression is allowed, no clauses such as FROM, WHERE or UNION"
    if len(node["select_list"]) != 1:
        return f"exactly one expression is needed, not {len(node['select_list'])}"
    return None


def _alias_problem(node: Mapping[str, Any]) -> str | None:
    alias = node["select_list"][0]["alias"]
    return f"an alias ({alias!r}) is not allowed" if alias else None


def _content_problem(tree: Any, offset: int, text: str) -> str | None:
    for part in _parts(tree):
        problem = _WRONG_CLASSES.get(part["class"])
        if problem is None and part["class"] == "FUNCTION":
            problem = _function_problem(part["function_name"])
        if problem is not None:
            position = part.get("query_location", 0) - offset
            if not 0 <= position < 1_000_000:
                return problem
            # In the tree DuckDB counts bytes, in its syntax errors characters.
            return f"{problem} ({_place(text, len(text.encode()[:position].decode('utf-8', 'ignore')))})"
    return None


def _parts(tree: Any) -> Iterator[dict[str, Any]]:
    """Every expression in the tree. Not recursive: the tree is as deep as a client wrote it."""
    waiting = [tree]
    while waiting:
        item = waiting.pop()
        if isinstance(item, list):
            waiting.extend(reversed(item))
        elif isinstance(item, dict):
            if isinstance(item.get("class"), str):
                yield item
            waiting.extend(item.values())


def _function_problem(name: str) -> str | None:
    kinds = _functions().get(name.lower())
    if name.lower() in _REFUSED_FUNCTIONS:
        return f"the function {name} is not allowed"
    if kinds is None:
        return f"there is no function {name}"
    if "row" in kinds:
        return None
    if "volatile" in kinds:
        return f"the function {name} is not allowed: it answers differently at every call"
    return f"the function {name} is not allowed: it does not work on single rows"


@functools.cache
def _functions() -> Mapping[str, frozenset[str]]:
    """DuckDB's functions and how they may be used: `row`, `volatile` or `other`."""
    with duckdb.connect() as connection:
        rows = connection.execute(
            "SELECT lower(function_name), CASE WHEN function_type NOT IN ('scalar', 'macro') THEN 'other' "
            "WHEN stability = 'VOLATILE' THEN 'volatile' ELSE 'row' END FROM duckdb_functions()"
        ).fetchall()
    found: dict[str, set[str]] = {}
    for name, kind in rows:
        found.setdefault(name, set()).add(kind)
    return {
        name: frozenset(kinds - {"row"} if "volatile" in kinds else kinds - {"other"} or kinds)
        for name, kinds in found.items()
    }
