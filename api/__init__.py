"""The REST API: everything that speaks HTTP."""
