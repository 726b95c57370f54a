"""The union of columns by name, and the type of each."""

from __future__ import annotations

from typing import Any

import pytest

from ingestion.errors import SchemaMismatch
from ingestion.formats.columns import Columns, Encoding
from ingestion.formats.telling import Candidate
from ingestion.formats.types import numeric_field
from ingestion.model.schema import FieldType, SchemaField, TableSchema


def field(name: str, kind: str, **more: Any) -> SchemaField:
    return SchemaField.model_validate({"name": name, "type": kind, **more})


def test_declared_wins_over_known_and_both_over_told() -> None:
    known = TableSchema(fields=(field("A", "FLOAT"), field("B", "DATE")))
    columns = Columns(Encoding.TEXT, [field("a", "STRING")], known)
    first = columns.of_file(["b", "C", "a"])
    again = columns.of_file(["c", "A", "d"])
    assert [column.name for column in first] == ["B", "C", "a"]
    assert [column.id for column in again] == [first[1].id, first[2].id, "c3"]
    assert [(target.field.name, target.field.type.value, target.is_fixed) for target in columns.targets()] == [
        ("a", "STRING", True),
        ("B", "DATE", True),
        ("C", "STRING", False),
        ("d", "STRING", False),
    ]


def test_told_types_follow_what_is_left() -> None:
    columns = Columns(Encoding.TEXT, (), None)
    column = columns.one("n")
    column.has_values, column.candidates = True, frozenset({Candidate.FLOAT, Candidate.INTEGER})
    assert columns.targets()[0].field.type is FieldType.INTEGER


def test_a_name_given_twice_is_two_columns() -> None:
    columns = Columns(Encoding.TEXT, (), None)
    assert [column.name for column in columns.of_file(["a", "A", ""])] == ["a", "A_2", "f2"]
    assert [column.name for column in columns.of_file(["A", "a", "b"])] == ["a", "A_2", "b"]
    assert len(columns.all) == 4


def test_missing_declared_columns() -> None:
    declared = [field("a", "STRING", mode="REQUIRED"), field("b", "STRING")]
    assert len(Columns(Encoding.TEXT, declared, None).targets()) == 2  # No file at all.
    columns = Columns(Encoding.TEXT, declared, None)
    columns.of_file(["x"])
    with pytest.raises(SchemaMismatch, match="None of the declared columns"):
        columns.targets()
    columns.of_file(["B"])
    with pytest.raises(SchemaMismatch, match="no column 'a'"):
        columns.targets()
    columns.of_file(["A"])
    assert [target.field.name for target in columns.targets()] == ["a", "b", "x"]


@pytest.mark.parametrize(
    ("natives", "kind", "digits"),
    [
        ([field("x", "INTEGER"), field("x", "INTEGER")], "INTEGER", None),
        ([field("x", "INTEGER"), field("x", "FLOAT")], "STRING", None),
        ([field("x", "JSON"), field("x", "STRING")], "STRING", None),
        ([numeric_field("x", 4, 1), numeric_field("x", 5, 3)], "NUMERIC", (6, 3)),
        ([numeric_field("x", 38, 0), numeric_field("x", 38, 38)], "STRING", None),
    ],
)
def test_one_type_for_all_files(natives: list[SchemaField], kind: str, digits: tuple[int, int] | None) -> None:
    columns = Columns(Encoding.NATIVE, (), None)
    columns.one("X").natives += natives
    (target,) = columns.targets()
    assert (target.field.name, target.field.type.value) == ("X", kind)
    if digits:
        assert (target.field.precision, target.field.scale) == digits


def test_lists_and_single_values_do_not_mix() -> None:
    columns = Columns(Encoding.NATIVE, (), None)
    columns.one("x").natives += [field("x", "STRING"), field("x", "STRING", mode="REPEATED")]
    with pytest.raises(SchemaMismatch, match="ARRAY<STRING> in one file and STRING"):
        columns.targets()
