"""The service's vocabulary: pydantic models and pure rules, no I/O."""
