"""The `ingestion` command.

Every flag has an INGESTION_* variable; settings without a flag have only the variable. Dagster and Starlette are
imported by the subcommands that need them, so that the others start at once.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated, Any, Literal, NoReturn

import typer
from pydantic import ValidationError

from ingestion import __version__
from ingestion.model.problems import problems_of
from ingestion.processes.signals import hear_interrupts
from ingestion.settings import PREFIX, Settings

USAGE_ERROR = 2

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Data ingestion service: sources and pipelines behind one REST API, run by Dagster.",
)

Home = Annotated[
    str | None, typer.Option(envvar="INGESTION_HOME", show_default="~/.ingestion", help="Folder of everything stored.")
]
Host = Annotated[
    str | None, typer.Option(envvar="INGESTION_HOST", show_default="127.0.0.1", help="Address to listen on.")
]
Port = Annotated[
    int | None,
    typer.Option(envvar="INGESTION_PORT", show_default="8000", help="Port to listen on; 0 takes a free one."),
]
Role = Literal["admin", "data_engineer", "monitoring_user", "read_only"]


@app.command()
def up(home: Home = None, host: Host = None, port: Port = None) -> None:
    """Run the whole service in the foreground; Ctrl-C stops it."""
    from ingestion.processes.up import run_up

    raise typer.Exit(run_up(settings_from(home=home, host=host, port=port)))


@app.command()
def api(home: Home = None, host: Host = None, port: Port = None) -> None:
    """Run only the API, with Dagster's UI on a loopback address."""
    from api.server import run_api
    from ingestion.processes.listener import AddressUnavailable

    try:
        run_api(settings_from(home=home, host=host, port=port))
    except AddressUnavailable as error:
        fail(str(error), code=1)


@app.command()
def daemon(home: Home = None) -> None:
    """Run only Dagster's daemon: schedules, sensors and run monitoring."""
    from ingestion.orchestration.daemon import run_daemon

    run_daemon(settings_from(home=home))


@app.command("code-server")
def code_server(home: Home = None) -> None:
    """Run only the code server, which holds the jobs made from the stored pipelines."""
    from ingestion.orchestration.code_server import run_code_server

    run_code_server(settings_from(home=home))


@app.command()
def launcher(home: Home = None) -> None:
    """Run only the launcher, which starts one worker process per run."""
    from ingestion.orchestration.warm import run_launcher

    run_launcher(settings_from(home=home))


@app.command()
def migrate(home: Home = None) -> None:
    """Bring the databases to this version's schema. Safe to repeat and to run in several places at once."""
    from ingestion.processes.migrate import run_migrate

    run_migrate(settings_from(home=home))


@app.command()
def token(
    home: Home = None,
    role: Annotated[Role, typer.Option(envvar="INGESTION_ROLE", help="What the token allows.")] = "admin",
    subject: Annotated[
        str, typer.Option(envvar="INGESTION_SUBJECT", help="E-mail address that created_by and updated_by will show.")
    ] = "admin@example.com",
    expires_in: Annotated[
        int, typer.Option(envvar="INGESTION_EXPIRES_IN", min=1, help="Seconds until the token expires.")
    ] = 24 * 3600,
) -> None:
    """Print one access token, signed with the home's own key."""
    from api.auth.tokens import issue_token

    try:
        typer.echo(issue_token(settings_from(home=home), role, subject, expires_in))
    except ValueError as error:
        fail(str(error))


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(__version__)


def settings_from(**flags: Any) -> Settings:
    """Settings from the environment, with the flags that were given on top. Ends the command when one is wrong."""
    given = {PREFIX + name.upper(): str(value) for name, value in flags.items() if value is not None}
    try:
        return Settings.from_environment(os.environ | given)
    except ValidationError as error:
        fail(*(f"{PREFIX}{p.field.upper()}: {p.message}" for p in problems_of(error, Settings)))


def fail(*messages: str, code: int = USAGE_ERROR) -> NoReturn:
    """Print messages to standard error and end the command."""
    for message in messages:
        print(f"ingestion: {message}", file=sys.stderr)
    raise typer.Exit(code)


def main() -> None:
    """Entry point of the `ingestion` command."""
    hear_interrupts()
    app(prog_name="ingestion")
