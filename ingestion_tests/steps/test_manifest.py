"""The manifest: written whole or not at all, and told from anything else."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from ingestion.errors import TargetFailed
from ingestion.settings import Settings
from ingestion.sources.base import Cursor, Extraction, ObjectVersion
from ingestion.steps.manifest import (
    Manifest,
    Transformed,
    are_whole,
    read_manifest,
    require_manifest,
    staging_folder,
    write_manifest,
)
from ingestion_tests.steps.workbench import table_schema, write_parquet

SCHEMA = table_schema(id="INTEGER")


def manifest(folder: Path) -> Manifest:
    folder.mkdir(exist_ok=True)
    file = write_parquet(folder / "a.parquet", SCHEMA, [{"id": 1}])
    extraction = Extraction(
        schema=SCHEMA,
        files=(file,),
        rejects=(),
        rows=1,
        rejected=2,
        bytes_read=3,
        objects=(ObjectVersion("f", "1", 3),),
        keys=("id",),
        cursor=Cursor("id", "1"),
        task_params={"bucket": "b", "objects": ["f"]},
    )
    return Manifest(
        execution_id="e",
        pipeline_id="p",
        pipeline_revision=1,
        dataset="d",
        table="t",
        start_date=date(2023, 6, 1),
        end_date=None,
        include_deleted=None,
        target_schema=SCHEMA,
        extraction=extraction,
        transformed=Transformed(table_schema=SCHEMA, folder="extract", files=(file,), rows=1),
    )


def test_it_comes_back_as_it_was(tmp_path: Path) -> None:
    written = write_manifest(tmp_path / "e", manifest(tmp_path / "e"))
    back = require_manifest(tmp_path / "e")
    assert back.model_dump_json() == written.model_dump_json()
    assert back.rows_read == 3
    assert [path.name for path in (tmp_path / "e").iterdir() if "manifest" in path.name] == ["manifest.json"]


def test_a_missing_one_and_a_broken_one(tmp_path: Path) -> None:
    assert read_manifest(tmp_path) is None
    with pytest.raises(TargetFailed, match="nothing is staged"):
        require_manifest(tmp_path)
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(TargetFailed, match="is not a manifest"):
        read_manifest(tmp_path)


def test_changed_files_are_not_whole(tmp_path: Path) -> None:
    files = manifest(tmp_path).extracted().files
    assert are_whole(tmp_path, files)
    path = tmp_path / files[0].name
    path.write_bytes(b"x" * files[0].size_bytes)
    assert not are_whole(tmp_path, files)
    path.unlink()
    assert not are_whole(tmp_path, files)


@pytest.mark.parametrize("name", ["", "..", "a/b", "/etc"])
def test_an_execution_id_cannot_lead_elsewhere(tmp_path: Path, name: str) -> None:
    with pytest.raises(TargetFailed):
        staging_folder(Settings(home=tmp_path), name)
