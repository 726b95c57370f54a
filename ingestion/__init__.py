"""Data ingestion on Dagster: sources, pipelines and executions behind one REST API."""

__version__ = "0.1.0"
