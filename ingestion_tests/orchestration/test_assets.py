"""Target tables as assets: lineage from sources, and the checks of the pipelines that load them."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest

from ingestion.orchestration.assets import asset_graph_definitions, job_asset_layer, source_asset_key
from ingestion.orchestration.events import check_name
from ingestion.store import PipelineRow
from ingestion_tests.orchestration.deployment import a_pipeline, a_source

NOT_NULL = {"quality_params": {"checks": [{"check": "not_null", "column": "id", "severity": "warn"}]}}
MERGE = {"load_params": {"write_disposition": "MERGE", "merge_key": "id"}}


def row(source_name: str, table: str, configuration: dict[str, Any] | None = None) -> PipelineRow:
    source = a_source(source_name)
    extraction = {"extraction_params": {"file_pattern": "*.csv"}}
    return PipelineRow(a_pipeline(source, table, extraction | (configuration or {})), source)


def graph(*rows: PipelineRow) -> tuple[dict[dg.AssetKey, dg.AssetSpec], dict[dg.AssetKey, set[str]]]:
    keys = {row.source.source_id: row.source.name.lower() for row in rows}
    assets, checks = asset_graph_definitions(rows, keys)
    specs = {spec.key: spec for asset in assets for spec in asset.specs}
    named = {
        key: {spec.name for found in checks for spec in found.check_specs if spec.asset_key == key} for key in specs
    }
    return specs, {key: names for key, names in named.items() if names}


def test_a_table_depends_on_all_sources_that_load_it() -> None:
    one, other = row("Shop", "sales"), row("Archive", "sales")

    specs, _ = graph(one, other)

    target = specs[dg.AssetKey(["shop", "sales"])]
    assert [dep.asset_key for dep in target.deps] == [source_asset_key("archive"), source_asset_key("shop")]
    assert target.metadata["jobs"] == [one.pipeline.dag_id, other.pipeline.dag_id]
    assert len(specs) == 3


def test_the_checks_are_those_a_load_runs() -> None:
    _, checks = graph(row("Shop", "plain"), row("Shop", "merged", MERGE), row("Shop", "checked", NOT_NULL))

    assert checks == {
        dg.AssetKey(["shop", "plain"]): {"row_count_reconciles"},
        dg.AssetKey(["shop", "merged"]): {"row_count_reconciles", "unique_id"},
        dg.AssetKey(["shop", "checked"]): {"row_count_reconciles", "not_null_id"},
    }


def test_checks_of_two_pipelines_on_one_table_are_named_once() -> None:
    _, checks = graph(row("Shop", "sales", NOT_NULL), row("Archive", "sales", NOT_NULL | MERGE))

    assert checks == {dg.AssetKey(["shop", "sales"]): {"row_count_reconciles", "not_null_id", "unique_id"}}


def test_a_job_knows_its_checks_but_is_not_the_asset_s_job() -> None:
    layer = job_asset_layer(row("Shop", "sales", NOT_NULL).pipeline)

    key = dg.AssetKey(["shop", "sales"])
    assert set(layer.asset_graph.asset_check_keys) == {
        dg.AssetCheckKey(key, name) for name in ("row_count_reconciles", "not_null_id")
    }
    assert layer.data == []


@pytest.mark.parametrize("title", ["größe > 0", "type", "config", "lambda"])
def test_a_check_may_have_any_title(title: str) -> None:
    checks = {"checks": [{"check": "not_null", "column": "id", "name": title}]}

    _, found = graph(row("Shop", "sales", {"quality_params": checks}))

    assert found == {dg.AssetKey(["shop", "sales"]): {"row_count_reconciles", check_name(title)}}


def test_checks_cannot_be_run_alone() -> None:
    found = row("Shop", "sales")
    _, [checks] = asset_graph_definitions([found], {found.source.source_id: "shop"})

    node = checks.node_def
    assert isinstance(node, dg.OpDefinition)
    assert callable(node.compute_fn)
    with pytest.raises(dg.Failure, match="run its job instead"):
        node.compute_fn(None, {})
