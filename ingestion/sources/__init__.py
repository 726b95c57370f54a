"""Sources of data: one connector per kind behind one protocol."""

from ingestion.sources.registry import connector_for

__all__ = ["connector_for"]
