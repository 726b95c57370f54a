"""Handlers: from a request to a service and back to an answer."""
