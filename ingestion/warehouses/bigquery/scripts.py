"""Parts of the scripts that publish: one transaction, and refusals that carry their facts out of it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ingestion.errors import IngestionError, TargetFailed, TooManyBadRecords
from ingestion.warehouses.base import PublishRequest
from ingestion.warehouses.bigquery import bookkeeping
from ingestion.warehouses.bigquery.names import Names

_MARK = "INGESTION-REFUSAL"
_REFUSAL = re.compile(rf"{_MARK}(\{{.*?\}}){_MARK}", re.DOTALL)
INSTANT = "_ingestion_as_of"
"""When the versions of a history begin; no column can be called so and hide it."""

_NUMBERS = (
    *("staged", "rows_before", "rows_after", "loaded", "quarantined", "deduplicated", "filtered"),
    *("deleted", "updated", "closed", "unchanged"),
)


def variables() -> str:
    """The declaration of the numbers that scripts count."""
    return f"DECLARE {', '.join(_NUMBERS)} INT64 DEFAULT 0;\nDECLARE {INSTANT} TIMESTAMP;\n"


def transaction(names: Names, statements: Sequence[str]) -> str:
    """A script that runs the statements at once, unless @execution_id has its load record, and answers the record."""
    is_new = f"NOT EXISTS (SELECT 1 FROM {names.loads} WHERE execution_id = @execution_id)"
    body = "\n".join(statements)
    return (
        f"{variables()}BEGIN\nBEGIN TRANSACTION;\nIF {is_new} THEN\n{body}\nEND IF;\nCOMMIT TRANSACTION;\n"
        "EXCEPTION WHEN ERROR THEN\nROLLBACK TRANSACTION;\nRAISE;\nEND;\n"
        f"{bookkeeping.record_query(names)};"
    )


def raise_if(condition: str, kind: str, **facts: str) -> str:
    """A statement that ends the script with facts that `refusal` understands."""
    told = {**facts}
    if kind == "SUM":
        told |= {name: name for name in ("quarantined", "deduplicated", "filtered")}
    listed = ", ".join([f"'{kind}' AS kind", *(f"{value} AS {name}" for name, value in told.items())])
    message = f"CONCAT('{_MARK}', TO_JSON_STRING(STRUCT({listed})), '{_MARK}')"
    return f"IF {condition} THEN\nRAISE USING MESSAGE = {message};\nEND IF;"


def refusal(request: PublishRequest, error: TargetFailed) -> IngestionError | None:
    """What a script's own refusal stands for; None for any other error."""
    found = _REFUSAL.search(error.message)
    return _refusal(request, json.loads(found[1])) if found else None


def _refusal(request: PublishRequest, facts: Mapping[str, Any]) -> IngestionError:
    table = f"{request.target.dataset}.{request.target.table}"
    kind = facts["kind"]
    if kind == "CURSOR":
        then = request.cursor_before.value if request.cursor_before else None
        key = request.cursor.key if request.cursor else None
        return TargetFailed(
            f"the cursor {key} moved from {then} to {facts.get('found')} since the rows were extracted",
            expected=then,
            found=facts.get("found"),
        )
    if kind == "BAD":
        return TooManyBadRecords(
            f"{facts['quarantined']} of {request.extracted} rows are bad, at most {request.bad_record_limit} are "
            f"allowed: {facts['reasons']}",
            bad=facts["quarantined"],
            allowed=request.bad_record_limit,
            extracted=request.extracted,
        )
    if kind == "NOT_EMPTY":
        return TargetFailed(
            f"WRITE_EMPTY needs an empty table, but {table} has {facts['rows']} rows; empty it, or choose another "
            "load_params.write_disposition",
            rows=facts["rows"],
        )
    if kind == "QUARANTINE":
        return TargetFailed(
            f"the quarantine of {table} has {facts['found']} of {facts['expected']} rows; it was changed meanwhile, "
            "so execute again"
        )
    if kind == "ROWS":
        return TargetFailed(f"{table} has {facts['found']} rows after the load, others were expected", **facts)
    return TargetFailed(
        f"the rows do not add up: {request.extracted} extracted, but {facts['loaded']} loaded, "
        f"{facts['quarantined']} quarantined, {facts['deduplicated']} deduplicated and {facts['filtered']} filtered"
    )
