from __future__ import annotations

import pytest
from pydantic import ValidationError

from ingestion.model.extraction import CustomExtraction


def test_an_object_is_needed_and_params_are_free() -> None:
    extraction = CustomExtraction(object="orders", params={"anything": [1]}, incremental_key="id", primary_key="id")
    assert (extraction.cursor_column, extraction.key_columns, extraction.may_know_keys) == ("id", ("id",), True)
    with pytest.raises(ValidationError, match="object"):
        CustomExtraction.model_validate({"params": {}})
