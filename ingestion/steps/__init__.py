"""The four steps of an execution, and the publish that ends it. No orchestration in here."""

from __future__ import annotations

from ingestion.steps.context import StepContext, StepOutcome, ValidationOutcome
from ingestion.steps.extracting import extract
from ingestion.steps.load_problems import load_problems_in
from ingestion.steps.loading import load
from ingestion.steps.publishing import publish
from ingestion.steps.staging import adopt_staging, discard_staging
from ingestion.steps.transformation_problems import problems_in
from ingestion.steps.transforming import transform
from ingestion.steps.validating import validate

__all__ = [
    "StepContext",
    "StepOutcome",
    "ValidationOutcome",
    "adopt_staging",
    "discard_staging",
    "extract",
    "load",
    "load_problems_in",
    "problems_in",
    "publish",
    "transform",
    "validate",
]
