"""Measurements of the running service. Not part of the tests."""
