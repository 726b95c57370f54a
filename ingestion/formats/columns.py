"""The columns of an extraction while its files are read: one union by name, and what each column may be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from ingestion.errors import SchemaMismatch
from ingestion.formats.naming import unique_names
from ingestion.formats.telling import TEXT_CANDIDATES, TOKEN_CANDIDATES, Candidate, told_type
from ingestion.formats.types import duckdb_type, numeric_field, type_label
from ingestion.model.schema import FieldMode, FieldType, SchemaField, TableSchema

POSITION_COLUMN = "position"
TEXT_COLUMN = "text"


class Encoding(StrEnum):
    """What the raw file of one object holds: cells as text, JSON tokens, or values of their own types.

    MARKUP is JSON tokens too, but their strings are text whose types are still to be told.
    """

    TEXT = "TEXT"
    TOKEN = "TOKEN"
    MARKUP = "MARKUP"
    NATIVE = "NATIVE"


@dataclass
class Column:
    """One column of the union. `fixed` is its declared or known field; the rest is learnt file by file.

    `has_nested` and `has_lists` are about MARKUP: some value is more than text, or there several times.
    """

    name: str
    id: str
    fixed: SchemaField | None
    candidates: frozenset[Candidate] = frozenset()
    has_values: bool = False
    has_nested: bool = False
    has_lists: bool = False
    natives: list[SchemaField] = field(default_factory=list)


@dataclass(frozen=True)
class Target:
    """A column of the result. Only the values of a fixed one may fail to fit."""

    id: str
    field: SchemaField
    is_fixed: bool
    has_lists: bool = False


@dataclass(frozen=True)
class RawFile:
    """One object as staged before types: a Parquet file with the columns `fields` (by column id).

    A NATIVE column has its field. Files of cells and tokens also have POSITION_COLUMN, the row's line or element
    number, and a file of cells may have TEXT_COLUMN, the row as it stands. `unit` says what the position counts.
    """

    object: str
    path: Path
    encoding: Encoding
    fields: Mapping[str, SchemaField | None]
    rows: int
    unit: str = "row"
    has_text: bool = False


class Columns:
    """The union by name, case not counting. A declared field wins over a known one, both over told types."""

    def __init__(self, encoding: Encoding, declared: Sequence[SchemaField], known: TableSchema | None) -> None:
        self._encoding = encoding
        self._declared = {declared_field.name.lower(): declared_field for declared_field in declared}
        self._known = known
        self._columns: dict[str, Column] = {}
        for declared_field in declared:
            self._add(declared_field.name)
        self._seen: set[str] = set()

    def of_file(self, names: Iterable[str]) -> list[Column]:
        """The columns of a file that has these names, made where they are new."""
        return [self.one(name) for name in unique_names(names)]

    def one(self, name: str) -> Column:
        """The column of that name, made when it is new."""
        self._seen.add(name.lower())
        return self._columns.get(name.lower()) or self._add(name)

    def _add(self, name: str) -> Column:
        declared = self._declared.get(name.lower())
        known = self._known.get(name) if self._known else None
        candidates = TOKEN_CANDIDATES if self._encoding is Encoding.TOKEN else TEXT_CANDIDATES
        # A known column keeps the file's spelling out of the target: the target's own name is used.
        fixed = declared or known
        column = Column(fixed.name if fixed else name, f"c{len(self._columns)}", fixed, candidates)
        self._columns[name.lower()] = column
        return column

    @property
    def all(self) -> Sequence[Column]:
        """Every column so far."""
        return list(self._columns.values())

    def targets(self) -> list[Target]:
        """The result's columns: declared ones first, the others as they appeared.

        Raises SchemaMismatch when no file has any declared column, or none has a required one.
        """
        missing = [found for found in self._declared.values() if found.name.lower() not in self._seen]
        if self._seen and self._declared and len(missing) == len(self._declared):
            raise SchemaMismatch(
                f"None of the declared columns is in the source: {', '.join(field.name for field in missing)} are "
                f"declared, {', '.join(sorted(self._seen))} are there"
            )
        for required in missing:
            if self._seen and required.mode is FieldMode.REQUIRED:
                raise SchemaMismatch(f"The source has no column '{required.name}', which the schema requires")
        return [
            Target(column.id, column.fixed or self._told(column), column.fixed is not None, column.has_lists)
            for column in self._columns.values()
        ]

    def _told(self, column: Column) -> SchemaField:
        if self._encoding is Encoding.NATIVE:
            return _common(column.name, column.natives)
        if column.has_nested:
            return SchemaField(name=column.name, type=FieldType.JSON)
        kind = told_type(column.has_values, column.candidates, self._encoding is Encoding.TOKEN)
        return SchemaField(name=column.name, type=kind)


def _common(name: str, natives: Sequence[SchemaField]) -> SchemaField:
    """The one type of a column in all files, the decimal that holds all its decimals, else STRING."""
    kinds = {duckdb_type(native) for native in natives}
    if len(kinds) == 1:
        same_kind = {native.type for native in natives}
        chosen = natives[0] if len(same_kind) == 1 else natives[0].model_copy(update={"type": FieldType.STRING})
        return chosen.model_copy(update={"name": name})
    decimals = [native for native in natives if native.type in (FieldType.NUMERIC, FieldType.BIGNUMERIC)]
    if len(decimals) == len(natives) and all(native.mode is not FieldMode.REPEATED for native in natives):
        scale = max(native.scale or 0 for native in natives)
        whole = max((native.precision or 38) - (native.scale or 0) for native in natives)
        if whole + scale <= 38:
            return numeric_field(name, whole + scale, scale)
    if any(native.type is FieldType.RECORD or native.mode is FieldMode.REPEATED for native in natives):
        raise SchemaMismatch(
            f"The column '{name}' is {' in one file and '.join(sorted({type_label(n) for n in natives}))} in another"
        )
    return SchemaField(name=name, type=FieldType.STRING)
