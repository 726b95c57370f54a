"""Where a task's log can be read."""

from __future__ import annotations

from urllib.parse import urlencode

from ingestion.model.execution import Execution, Task
from ingestion.settings import Settings


def log_url(settings: Settings, execution: Execution, task: Task, ui_url: str | None) -> str | None:
    """By the template of the settings; else the task's step in Dagster's UI at `ui_url`, or at the set webserver.

    None while there is no run, or where no UI can be reached.
    """
    if execution.dagster_run_id is None:
        return None
    if settings.log_url_template is not None:
        return settings.log_url_template.format(
            dagster_run_id=execution.dagster_run_id,
            task_id=task.task_id,
            execution_id=execution.execution_id,
            dag_id=execution.dag_id,
        )
    base = settings.dagster_url or ui_url
    if base is None:
        return None
    step = urlencode({"selection": f'name:"{task.task_id}"', "logs": f"step:{task.task_id}"})
    return f"{base.rstrip('/')}/runs/{execution.dagster_run_id}?{step}"
