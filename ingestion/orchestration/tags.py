"""Names of the tags that tie a Dagster run to an execution, its pipeline and its worker."""

from __future__ import annotations

EXECUTION_ID = "ingestion/execution_id"
PIPELINE_ID = "ingestion/pipeline_id"
REVISION = "ingestion/revision"
SOURCE_ID = "ingestion/source_id"
TARGET = "ingestion/target"
WORKER = "ingestion/worker"

# Dagster's own.
MAX_RETRIES = "dagster/max_retries"
SCHEDULE_NAME = "dagster/schedule_name"

LOCATION_NAME = "ingestion"
REPOSITORY_NAME = "ingestion"
