"""What the columns of an Avro schema become. Decoders only see physical types: what a logical type means is here.

Decoders get logical types wrong in their own ways (decimals rounded, zones dropped, years after 9999 refused).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from ingestion.errors import ParseFailed, SchemaMismatch
from ingestion.formats.types import numeric_field
from ingestion.model.schema import FieldMode, FieldType, SchemaField

_PRIMITIVES: Mapping[str, tuple[FieldType, pa.DataType]] = {
    "null": (FieldType.STRING, pa.string()),
    "boolean": (FieldType.BOOLEAN, pa.bool_()),
    "int": (FieldType.INTEGER, pa.int64()),
    "long": (FieldType.INTEGER, pa.int64()),
    "float": (FieldType.FLOAT, pa.float64()),
    "double": (FieldType.FLOAT, pa.float64()),
    "bytes": (FieldType.BYTES, pa.binary()),
    "string": (FieldType.STRING, pa.string()),
}
LOGICAL: Mapping[tuple[str, str], FieldType] = {
    ("int", "date"): FieldType.DATE,
    ("int", "time-millis"): FieldType.TIME,
    ("long", "time-micros"): FieldType.TIME,
    ("long", "timestamp-millis"): FieldType.TIMESTAMP,
    ("long", "timestamp-micros"): FieldType.TIMESTAMP,
    ("long", "timestamp-nanos"): FieldType.STRING,
    ("long", "local-timestamp-millis"): FieldType.DATETIME,
    ("long", "local-timestamp-micros"): FieldType.DATETIME,
    ("long", "local-timestamp-nanos"): FieldType.STRING,
    ("string", "uuid"): FieldType.STRING,
    ("fixed", "uuid"): FieldType.STRING,
}
"""Logical types on their physical ones. Decimals are apart; other ones are ignored, as Avro says."""
_NAMED = ("record", "error", "enum", "fixed")
_PYTHON_TYPES: Mapping[str, type] = {
    "boolean": bool,
    "int": int,
    "long": int,
    "float": float,
    "double": float,
    "bytes": bytes,
    "fixed": bytes,
    "string": str,
    "enum": str,
    "record": dict,
    "error": dict,
    "map": dict,
    "array": list,
}


@dataclass(frozen=True)
class Node:
    """One type of the schema, names resolved.

    `kind` is its physical type, `logical` what that means, `parts` what it consists of: the members of a record by
    name, or the one type in an array, a map, or the branches of a union. `field` is what it becomes; None when only
    JSON can show it. `is_plain` says whether every decoder reads it right.
    """

    kind: str
    field: SchemaField | None
    physical: pa.DataType
    logical: str | None = None
    parts: Mapping[str, Node] | None = None
    size: int = 0
    is_plain: bool = True


def node_of(schema: Any, name: str, object_name: str) -> Node:
    """The tree of a schema, its root called `name`.

    Raises ParseFailed when it is none, SchemaMismatch for a duration and for a union that cannot be told apart.
    """
    try:
        return _Resolver().node(schema, name, "")
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise ParseFailed(
            f"The Avro schema of '{object_name}' is not understood: {type(error).__name__} {error}", object=object_name
        ) from error


def physical_schema(schema: Any) -> Any:
    """The schema without its logical types, aliases, defaults and documentation."""
    if isinstance(schema, list):
        return [physical_schema(branch) for branch in schema]
    if not isinstance(schema, dict):
        return schema
    dropped = ("logicalType", "precision", "scale", "aliases", "doc", "default", "order")
    kept = {key: value for key, value in schema.items() if key not in dropped}
    for key in ("type", "items", "values"):
        if key in kept:
            kept[key] = physical_schema(kept[key])
    if "fields" in kept:
        kept["fields"] = [physical_schema(part) for part in kept["fields"]]
    return kept


class _Resolver:
    """Walks a schema; a named type may be used again after it was defined."""

    def __init__(self) -> None:
        self._named: dict[str, Any] = {}
        self._open: list[str] = []

    def node(self, schema: Any, name: str, space: str) -> Node:
        if isinstance(schema, list):
            return self._union(schema, name, space)
        if isinstance(schema, str):
            if schema in _PRIMITIVES:
                return _primitive(schema, name)
            full = self._full(schema, space)
            return self._named_node(self._named[full], name, full)
        kind = schema["type"]
        if isinstance(kind, dict | list):
            return self.node(kind, name, space)
        if kind in _NAMED:
            full = self._full(schema["name"], schema.get("namespace", space))
            self._named[full] = schema
            return self._named_node(schema, name, full)
        if kind == "array":
            return self._array(schema, name, space)
        if kind == "map":
            inner = self.node(schema["values"], name, space)
            return Node("map", None, pa.null(), parts={"": inner}, is_plain=False)
        if kind in _PRIMITIVES:
            return _with_logical(_primitive(kind, name), schema, name)
        return self.node(kind, name, space)

    @staticmethod
    def _full(name: str, space: str) -> str:
        return name if "." in name or not space else f"{space}.{name}"

    def _named_node(self, schema: Any, name: str, full: str) -> Node:
        kind = schema["type"]
        if kind == "enum":
            return Node("enum", SchemaField(name=name, type=FieldType.STRING), pa.string())
        if kind == "fixed":
            binary = Node("fixed", SchemaField(name=name, type=FieldType.BYTES), pa.binary(), size=int(schema["size"]))
            return _with_logical(binary, schema, name)
        if full in self._open:
            return Node(kind, None, pa.null(), parts={}, is_plain=False)
        self._open.append(full)
        space = full.rpartition(".")[0]
        parts = {part["name"]: self.node(part["type"], part["name"], space) for part in schema["fields"]}
        self._open.pop()
        return _record(kind, name, parts)

    def _array(self, schema: Any, name: str, space: str) -> Node:
        inner = self.node(schema["items"], name, space)
        field = inner.field
        if field is None or field.mode is FieldMode.REPEATED:
            return Node("array", None, pa.null(), parts={"": inner}, is_plain=False)
        repeated = field.model_copy(update={"mode": FieldMode.REPEATED})
        return Node("array", repeated, pa.list_(inner.physical), parts={"": inner}, is_plain=inner.is_plain)

    def _union(self, branches: Sequence[Any], name: str, space: str) -> Node:
        nodes = [self.node(branch, name, space) for branch in branches if branch != "null"]
        if not nodes:
            return _primitive("null", name)
        if len(nodes) == 1:
            return nodes[0]
        merged = _merged(nodes)
        if merged is not None:
            return merged
        _require_distinct(nodes, name)
        return Node("union", None, pa.null(), parts={str(at): node for at, node in enumerate(nodes)}, is_plain=False)


def _primitive(kind: str, name: str) -> Node:
    told, physical = _PRIMITIVES[kind]
    return Node(kind, SchemaField(name=name, type=told), physical)


def _record(kind: str, name: str, parts: Mapping[str, Node]) -> Node:
    fields = [part.field for part in parts.values()]
    is_shown = bool(fields) and None not in fields and len({part.lower() for part in parts}) == len(parts)
    if not is_shown:
        return Node(kind, None, pa.null(), parts=parts, is_plain=False)
    field = SchemaField(name=name, type=FieldType.RECORD, fields=tuple(part for part in fields if part))
    physical = pa.struct([(part, node.physical) for part, node in parts.items()])
    return Node(kind, field, physical, parts=parts, is_plain=all(node.is_plain for node in parts.values()))


def _with_logical(node: Node, schema: Any, name: str) -> Node:
    logical = schema.get("logicalType")
    if logical == "duration" and node.kind == "fixed":
        raise SchemaMismatch(f"The column '{name}' is a duration, which cannot be kept")
    if logical == "decimal" and node.kind in ("bytes", "fixed"):
        precision, scale = schema.get("precision"), schema.get("scale", 0)
        if not isinstance(precision, int) or not isinstance(scale, int) or not 0 <= scale <= precision or precision < 1:
            return node
        field = (
            numeric_field(name, precision, scale) if precision <= 38 else SchemaField(name=name, type=FieldType.STRING)
        )
        return Node(node.kind, field, node.physical, f"decimal:{precision}:{scale}", size=node.size)
    told = LOGICAL.get((node.kind, logical)) if isinstance(logical, str) else None
    if told is None or (logical == "uuid" and node.kind == "fixed" and node.size != 16):
        return node
    return Node(node.kind, SchemaField(name=name, type=told), node.physical, logical, size=node.size)


def _merged(nodes: Sequence[Node]) -> Node | None:
    """The one node for several branches that differ only in their width."""
    kinds = {node.kind for node in nodes}
    if any(node.logical for node in nodes):
        return None
    for same in ({"int", "long"}, {"float", "double"}, {"string", "enum"}):
        if kinds <= same:
            first = nodes[0]
            return Node(first.kind, first.field, first.physical, is_plain=False)
    return None


def _require_distinct(nodes: Sequence[Node], name: str) -> None:
    """A decoded value has to show which branch it is of, where branches mean different things."""
    for at, node in enumerate(nodes):
        twins = [other for other in nodes[at + 1 :] if _PYTHON_TYPES[other.kind] is _PYTHON_TYPES[node.kind]]
        if twins and any(has_logical(one) for one in (node, *twins)):
            raise SchemaMismatch(
                f"The column '{name}' is a union in which {node.kind} and {twins[0].kind} cannot be told apart"
            )


def has_logical(node: Node) -> bool:
    """Whether the node, or anything in it, means something else than its physical type."""
    return node.logical is not None or any(has_logical(part) for part in (node.parts or {}).values())


def branch_of(node: Node, value: Any) -> Node:
    """The branch of a union that a decoded value is of."""
    return next(part for part in (node.parts or {}).values() if isinstance(value, _PYTHON_TYPES[part.kind]))
