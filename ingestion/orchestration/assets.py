"""Target tables as external assets, with lineage from their sources and the quality checks of their pipelines."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NoReturn

import dagster as dg
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph
from dagster._core.definitions.assets.job.asset_layer import AssetLayer

from ingestion.model.extraction import as_columns
from ingestion.model.pipeline import Pipeline
from ingestion.model.quality import CheckSpec
from ingestion.model.schema import TableSchema
from ingestion.model.source import Source
from ingestion.orchestration import events, tags
from ingestion.quality import default_checks, with_defaults
from ingestion.store import PipelineRow

_KINDS = {"GCS": "gcs", "CLOUD_SQL": "postgres", "BIGQUERY": "bigquery"}


def source_asset_key(source_key: str) -> dg.AssetKey:
    """The asset that stands for all that a source holds."""
    return dg.AssetKey(["sources", source_key])


def asset_graph_definitions(
    rows: Iterable[PipelineRow], source_keys: Mapping[str, str]
) -> tuple[Sequence[dg.AssetsDefinition], Sequence[dg.AssetChecksDefinition]]:
    """Assets of all targets and sources, and the checks on the targets.

    Several pipelines may load one table: it is one asset that depends on all their sources.
    """
    rows = list(rows)
    targets: dict[dg.AssetKey, list[PipelineRow]] = {}
    sources: dict[str, Source] = {}
    for row in rows:
        targets.setdefault(events.asset_key(row.pipeline), []).append(row)
        sources[row.source.source_id] = row.source
    specs = [
        *(_source_spec(source, source_keys[source_id]) for source_id, source in sources.items()),
        *(_target_spec(key, loads, source_keys) for key, loads in targets.items()),
    ]
    checks = [
        _checks(key, found)
        for key, loads in targets.items()
        if (found := _check_specs(key, [row.pipeline for row in loads]))
    ]
    return [dg.AssetsDefinition(specs=[spec]) for spec in specs], checks


def job_asset_layer(pipeline: Pipeline) -> AssetLayer:
    """What ties a pipeline's job to the checks that its ops report.

    The table itself is not named as the job's: Dagster's web app would show the job as an asset graph then, without
    its ops and its Launchpad.
    """
    key = events.asset_key(pipeline)
    specs = _check_specs(key, [pipeline])
    assets: list[dg.AssetsDefinition] = [dg.AssetsDefinition(specs=[dg.AssetSpec(key)])]
    if specs:
        assets.append(_checks(key, specs))
    return AssetLayer(data=[], asset_graph=AssetGraph.from_assets(assets))


def _source_spec(source: Source, key: str) -> dg.AssetSpec:
    return dg.AssetSpec(
        source_asset_key(key),
        description=source.description or source.name,
        group_name="sources",
        kinds={_KINDS.get(source.source_type.value, source.source_type.value.lower())},
        metadata={"source_id": source.source_id, "name": source.name, "source_type": source.source_type.value},
        tags={tags.SOURCE_ID: source.source_id},
    )


def _target_spec(key: dg.AssetKey, loads: Sequence[PipelineRow], source_keys: Mapping[str, str]) -> dg.AssetSpec:
    return dg.AssetSpec(
        key,
        deps=sorted({source_asset_key(source_keys[row.source.source_id]) for row in loads}),
        description="\n\n".join(row.pipeline.description or row.pipeline.pipeline_name for row in loads),
        group_name=loads[0].pipeline.target_dataset,
        kinds={"duckdb", "table"},
        metadata={"jobs": [row.pipeline.dag_id for row in loads]},
    )


def _check_specs(key: dg.AssetKey, pipelines: Sequence[Pipeline]) -> list[dg.AssetCheckSpec]:
    found: dict[str, dg.AssetCheckSpec] = {}
    for check in _expected_checks(pipelines):
        name = events.check_name(check.title)
        found.setdefault(
            name,
            dg.AssetCheckSpec(
                name=name,
                asset=key,
                description=f"{check.check}, severity {check.severity.value}; run by the pipeline before it publishes.",
            ),
        )
    return list(found.values())


def _expected_checks(pipelines: Iterable[Pipeline]) -> Iterator[CheckSpec]:
    """The checks a load runs as far as they are known before it: the declared ones, and those every load gets."""
    for pipeline in pipelines:
        configuration = pipeline.settings()
        declared = configuration.quality_params.checks if configuration.quality_params else ()
        key = as_columns(configuration.load_params.merge_key) if configuration.load_params else ()
        yield from with_defaults(declared, default_checks(TableSchema(fields=()), key, expected_rows=0))


def _checks(key: dg.AssetKey, specs: Sequence[dg.AssetCheckSpec]) -> dg.AssetChecksDefinition:
    def refuse(context: dg.OpExecutionContext, inputs: Mapping[str, Any]) -> NoReturn:
        raise dg.Failure("Checks run as a part of their pipeline: run its job instead.", allow_retries=False)

    # A check may be called `type` or `config`; an output may not.
    outputs = {f"check_{spec.name}": spec for spec in specs}
    op = dg.OpDefinition(
        name="checks_of_" + "__".join(key.path),
        compute_fn=refuse,
        ins={"table": dg.In(dg.Nothing)},
        outs={name: dg.Out(dg.Nothing, is_required=False) for name in outputs},
    )
    checks: dg.AssetChecksDefinition = dg.AssetChecksDefinition.create(
        keys_by_input_name={"table": key}, node_def=op, check_specs_by_output_name=outputs, can_subset=False
    )
    return checks
