"""From raw files to typed ones: every row is in one place."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ingestion.errors import SchemaMismatch
from ingestion.formats.columns import Column, Encoding, RawFile, Target
from ingestion.formats.engine import engine
from ingestion.formats.rejects import RejectFile
from ingestion.formats.telling import TEXT_CANDIDATES, Candidate
from ingestion.formats.typed import Reading, collect_misfits, learn, write_typed
from ingestion.model.schema import SchemaField


def ignore() -> None:
    """A tick that stops nothing."""


def target(column_id: str, name: str, kind: str, is_fixed: bool = True, **more: Any) -> Target:
    return Target(column_id, SchemaField.model_validate({"name": name, "type": kind, **more}), is_fixed)


def raw(folder: Path, encoding: Encoding, **columns: Sequence[str | None]) -> RawFile:
    path = folder / "x.raw"
    count = len(next(iter(columns.values())))
    arrays = {name: pa.array(values, pa.large_string()) for name, values in columns.items()}
    positions = pa.array(range(2, count + 2), pa.int64())
    pq.write_table(pa.table({"position": positions, **arrays}), path)
    return RawFile("f", path, encoding, dict.fromkeys(columns), count, "line")


def typed(
    folder: Path, file: RawFile, targets: Sequence[Target], reading: Reading | None = None
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """(rows, rejects), which together are all there is."""
    rejects = RejectFile(folder / "r.parquet")
    with engine(folder) as connection:
        written = write_typed(connection, file, targets, folder / "t.parquet", reading or Reading(), 2_048, ignore)
        rejected = collect_misfits(connection, file, targets, reading or Reading(), rejects)
    assert written + rejected == file.rows
    rows = pq.read_table(folder / "t.parquet").to_pylist()
    assert len(rows) == written
    return rows, [row for part in rejects.close() for row in pq.read_table(folder / part.name).to_pylist()]


def test_names_that_are_other_columns_ids_stay_apart(tmp_path: Path) -> None:
    file = raw(tmp_path, Encoding.TEXT, c0=["x", "y"], c1=["5", "z"])
    rows, rejects = typed(tmp_path, file, [target("c0", "c1", "STRING"), target("c1", "c0", "INTEGER")])
    assert rows == [{"c1": "x", "c0": 5}]
    (reject,) = rejects
    assert (reject["position"], reject["column_name"], reject["got"]) == ("line 3", "c0", "z")
    assert reject["raw_row"] == '{"c1": "y", "c0": "z"}'


def test_of_several_misfits_the_first_is_named(tmp_path: Path) -> None:
    file = raw(tmp_path, Encoding.TEXT, c0=["1", "x", ""], c1=["2", "y", "3"])
    wanted = [target("c0", "a", "INTEGER", mode="REQUIRED"), target("c1", "b", "INTEGER")]
    rows, rejects = typed(tmp_path, file, wanted)
    assert rows == [{"a": 1, "b": 2}]
    assert [(reject["error_code"], reject["column_name"], reject["expected"]) for reject in rejects] == [
        ("TYPE_MISMATCH", "a", "INTEGER"),
        ("REQUIRED_NULL", "a", "INTEGER REQUIRED"),
    ]


def test_markers_are_null_in_typed_columns(tmp_path: Path) -> None:
    file = raw(tmp_path, Encoding.TEXT, c0=["NA", "", "1", None], c1=["NA", "", "x", None])
    wanted = [target("c0", "n", "INTEGER"), target("c1", "s", "STRING")]
    rows, rejects = typed(tmp_path, file, wanted, Reading(("NA",)))
    assert [row["n"] for row in rows] == [None, None, 1, None]
    assert [row["s"] for row in rows] == ["NA", "", "x", None]
    assert rejects == []


def test_tokens_lose_nothing(tmp_path: Path) -> None:
    file = raw(tmp_path, Encoding.TOKEN, c0=['"a\\"\\u00e9"', "1.10", None], c1=['{"x":  1.10}', '"t"', "5"])
    rows, _ = typed(tmp_path, file, [target("c0", "s", "STRING"), target("c1", "j", "JSON")])
    assert rows == [{"s": 'a"é', "j": '{"x":  1.10}'}, {"s": "1.10", "j": '"t"'}, {"s": None, "j": "5"}]


def test_a_column_that_is_not_in_the_file_is_null_or_rejects_every_row(tmp_path: Path) -> None:
    file = raw(tmp_path, Encoding.TEXT, c0=["1", "2"])
    assert typed(tmp_path, file, [target("c0", "a", "INTEGER"), target("c9", "b", "DATE")])[0] == [
        {"a": 1, "b": None},
        {"a": 2, "b": None},
    ]
    wanted = [target("c0", "a", "INTEGER"), target("c9", "b", "DATE", mode="REQUIRED")]
    rows, rejects = typed(tmp_path, file, wanted)
    assert rows == []
    assert [reject["error_code"] for reject in rejects] == ["REQUIRED_NULL", "REQUIRED_NULL"]


def test_cells_cannot_be_nested(tmp_path: Path) -> None:
    file = raw(tmp_path, Encoding.TEXT, c0=["[1]"])
    with pytest.raises(SchemaMismatch, match="ARRAY<INTEGER>"):
        typed(tmp_path, file, [target("c0", "a", "INTEGER", mode="REPEATED")])


def test_learning_goes_on_from_file_to_file(tmp_path: Path) -> None:
    column = Column("a", "c0", None, TEXT_CANDIDATES)
    fixed = Column("b", "c1", SchemaField.model_validate({"name": "b", "type": "DATE"}), TEXT_CANDIDATES)
    with engine(tmp_path) as connection:
        for number, values in enumerate((["1", ""], ["1.5"], [""])):
            folder = tmp_path / str(number)
            folder.mkdir()
            file = raw(folder, Encoding.TEXT, c0=values, c1=["x"] * len(values))
            learn(connection, file, [column, fixed], Reading(), ignore)
    assert (column.candidates, column.has_values) == (frozenset({Candidate.FLOAT}), True)
    assert fixed.candidates == TEXT_CANDIDATES
