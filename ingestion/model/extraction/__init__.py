"""`extraction_params`: one model per kind of source."""

from __future__ import annotations

from collections.abc import Mapping

from ingestion.model.extraction.api import ApiExtraction
from ingestion.model.extraction.base import ExtractionParams, as_columns
from ingestion.model.extraction.bigquery import BigQueryExtraction
from ingestion.model.extraction.custom import CustomExtraction
from ingestion.model.extraction.databases import DatabaseExtraction
from ingestion.model.extraction.files import FileExtraction, FileFormat, FixedField
from ingestion.model.source_type import SourceType

EXTRACTION_MODELS: Mapping[SourceType, type[ExtractionParams]] = {
    SourceType.GCS: FileExtraction,
    SourceType.CLOUD_SQL: DatabaseExtraction,
    SourceType.BIGQUERY: BigQueryExtraction,
    SourceType.SFTP: FileExtraction,
    SourceType.API: ApiExtraction,
    SourceType.CUSTOM: CustomExtraction,
}
"""What a pipeline says about reading, by the type of its source."""

__all__ = [
    "EXTRACTION_MODELS",
    "ApiExtraction",
    "BigQueryExtraction",
    "CustomExtraction",
    "DatabaseExtraction",
    "ExtractionParams",
    "FileExtraction",
    "FileFormat",
    "FixedField",
    "as_columns",
]
