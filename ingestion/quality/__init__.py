"""Quality checks: compiled to SQL, run on the staged rows before they are published."""

from __future__ import annotations

from ingestion.quality.checks import problems_in
from ingestion.quality.defaults import default_checks, with_defaults
from ingestion.quality.runner import run_checks

__all__ = ["default_checks", "problems_in", "run_checks", "with_defaults"]
