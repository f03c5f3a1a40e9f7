"""The command line.

Exit codes: 0 done; 1 unexpected; 2 the command line itself; 3 bad input; 4 not found; 5 blocked by validation;
6 a service does not answer, or already runs. With --json standard output is one JSON object, errors included.
"""

from __future__ import annotations

import getpass
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from include.commands import alerts, audit, lake, models, quarantine
from include.commands import uploads as uploads_command
from include.commands.airflow import PASSED_ON, airflow
from include.commands.answers import answer_upload
from include.commands.backtest import backtest
from include.commands.doctor import doctor
from include.commands.history import simulate_history
from include.commands.ingest import ingest
from include.commands.monitoring import report, skill, watch_forecasts
from include.commands.options import AsJson
from include.commands.validate import validate
from include.commands.watch import watch
from include.console import emit, err, out, plain, show_steps
from include.errors import ClosecastError, InputError
from include.home import current_settings, recall_home
from include.settings import load_settings

app = typer.Typer(
    no_args_is_help=True, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False, help=__doc__
)
app.add_typer(models.app, name="models")
app.add_typer(uploads_command.app, name="uploads")
app.add_typer(quarantine.app, name="quarantine")
app.add_typer(lake.app, name="lake")
app.add_typer(audit.app, name="audit")
app.add_typer(alerts.app, name="alerts")
app.command(context_settings=PASSED_ON)(airflow)
app.command()(doctor)
app.command()(ingest)
app.command()(validate)
app.command()(backtest)
app.command()(audit.explain)
app.command()(audit.replay)
app.command()(skill)
app.command()(watch_forecasts)
app.command()(report)
app.command()(simulate_history)
app.command()(watch)

USAGE_EXIT = 2

Session = Annotated[str | None, typer.Option(help="YYYY-MM-DD; the newest by default.")]


def main() -> None:
    """Run the command line; turn what a person can act on into one line and an exit code."""
    try:
        app()
    except SystemExit as error:
        if error.code == USAGE_EXIT and "--json" in sys.argv:  # Typer has said it to people
            say = getattr(error.__context__, "format_message", lambda: "see --help")
            emit({"error": {"type": "UsageError", "rule": say()}}, as_json=True, render=lambda: None)
        raise
    except ValidationError as error:
        first = error.errors()[0]
        place = "CLOSECAST_" + "_".join(str(part) for part in first["loc"]).upper()
        _fail(InputError(f"a setting must be valid: {first['msg']}", value=first.get("input"), place=place))
    except (PermissionError, NotADirectoryError, FileExistsError) as error:
        _fail(InputError("the file or folder must be open to this user", value=error.strerror, place=error.filename))
    except ClosecastError as error:
        _fail(error)
    except Exception as error:
        if "--json" in sys.argv:
            emit({"error": {"type": type(error).__name__, "rule": str(error)}}, as_json=True, render=lambda: None)
        raise


def _fail(error: ClosecastError) -> None:
    if "--json" in sys.argv:
        said = {"type": type(error).__name__, "rule": error.rule, "value": error.value, "place": error.place}
        texts = {key: None if value is None else str(value) for key, value in said.items()}
        emit({"error": texts}, as_json=True, render=lambda: None)
    err.print(f"[red]error:[/red] {plain(str(error))}", soft_wrap=True)
    sys.exit(error.exit_code)


@app.command()
def simulate(
    out_dir: Annotated[Path, typer.Option("--out", help="Folder to write.")],
    symbols: Annotated[int, typer.Option(help="How many are ever listed.")] = 10_000,
    sessions: Annotated[int, typer.Option(help="How many, the newest last.")] = 730,
    calendar: Annotated[str, typer.Option(help="An exchange_calendars name: 24/7, XNYS, ...")] = "24/7",
    seed: Annotated[int, typer.Option(help="The same seed gives the same bars.")] = 7,
    live: Annotated[int, typer.Option(help="Newest sessions written as one upload each.")] = 5,
    signal: Annotated[float, typer.Option(help="Size of the signal; 0 leaves nothing to learn.")] = 1.0,
    clean: Annotated[bool, typer.Option("--clean", help="None of the dirt of real files.")] = False,
    last_session: Annotated[str | None, typer.Option(help="YYYY-MM-DD; the newest closed one by default.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write a simulated exchange: the history as one file, then one upload a session."""
    from include.market.sessions import newest_closed_session
    from include.steps import simulate_to
    from include.tasks import parse_session

    last = parse_session(last_session) if last_session else newest_closed_session(calendar, datetime.now(UTC))
    with show_steps() as step:
        made = simulate_to(
            out_dir,
            step("Simulate the exchange"),
            symbols=symbols,
            sessions=sessions,
            calendar=calendar,
            seed=seed,
            live=live,
            signal=signal,
            clean=clean,
            last_session=last,
        )
    payload = {"out": out_dir, "history": made.history[0], "uploads": made.uploads, "calendar": calendar}
    emit(
        payload,
        as_json=as_json,
        render=lambda: out.print(plain(f"{out_dir}: history and {len(made.uploads)} upload(s)"), soft_wrap=True),
    )


@app.command()
def train(
    model: Annotated[list[str] | None, typer.Option(help="Which models; all by default.")] = None,
    promote: Annotated[bool, typer.Option(help="Let the gate's verdict take effect.")] = True,
    as_json: AsJson = False,
) -> None:
    """Fit and register every model; the gate says which serves. One that was killed is taken up again."""
    from include.show import show_retrain
    from include.steps import retrain

    settings = current_settings()
    with show_steps() as step:
        found = retrain(settings, step, names=model, promote=promote, who=getpass.getuser())
    emit(asdict(found), as_json=as_json, render=lambda: show_retrain(found))


@app.command()
def score(session: Session = None, as_json: AsJson = False) -> None:
    """Validate a session, score it by the model in Production, publish its forecasts."""
    from include.forecast import forecast_session
    from include.tasks import choose_session

    settings = current_settings()
    day = choose_session(settings, session)
    with show_steps() as step:
        line = step(f"Score {day}")
        report, files = forecast_session(settings, day, asked_by="cli")
        line.finish(f"{report.rows:,} rows")
    payload = asdict(report) | {"files": files}
    emit(
        payload,
        as_json=as_json,
        render=lambda: out.print(f"{plain(report.summary())}\n{plain(str(files[0]))}", soft_wrap=True),
    )


@app.command()
def predict(
    session: Session = None,
    symbol: Annotated[list[str] | None, typer.Option(help="Which symbols; all by default.")] = None,
    version: Annotated[int | None, typer.Option(help="A version; the one in Production by default.")] = None,
    upload: Annotated[str | None, typer.Option(help="A CSV to be answered: a path or an s3:// address.")] = None,
    copy_to: Annotated[str | None, typer.Option("--out", help="Where to copy the answer: a path or s3://.")] = None,
    as_json: AsJson = False,
) -> None:
    """Forecast any session, symbols and version, or every row of an upload; kept apart from the scheduled forecasts."""
    if upload is not None:
        answer_upload(upload, copy_to, session=session, symbols=symbol, version=version, as_json=as_json)
        return
    if copy_to is not None:
        raise InputError("--out must come with --upload", value=copy_to)
    from include.lake.predictions import read_run
    from include.lake.tables import ADHOC_PREDICTIONS
    from include.scoring.publish import widen_run
    from include.scoring.score import predict_symbols
    from include.show import show_forecasts
    from include.tasks import choose_session

    settings = current_settings()
    report = predict_symbols(settings, choose_session(settings, session), symbols=symbol, version=version, run_id="cli")
    run = read_run(settings.lake, report.as_of, report.run_id, table=ADHOC_PREDICTIONS)
    rows = widen_run(run).to_pylist()
    emit(asdict(report) | {"forecasts": rows}, as_json=as_json, render=lambda: show_forecasts(rows, report.summary()))


@app.command()
def up(
    detach: Annotated[bool, typer.Option("--detach", help="Leave it running and return.")] = False,
    as_json: AsJson = False,
) -> None:
    """Run Airflow and MLflow on loopback ports until Ctrl-C."""
    from include.up import run_up

    run_up(load_settings(), detach=detach, as_json=as_json)


@app.command()
def down(as_json: AsJson = False) -> None:
    """Stop what `up` started."""
    from include.system.control import stop

    stopped = stop(load_settings())
    emit(
        {"stopped": stopped}, as_json=as_json, render=lambda: out.print("stopped" if stopped else "nothing was running")
    )


@app.command()
def status(as_json: AsJson = False) -> None:
    """Say what runs, where its pages are, and what the lake holds."""
    from include.status import read_status, show_status

    found = read_status(recall_home(load_settings()))
    emit(found, as_json=as_json, render=lambda: show_status(found))


@app.command()
def demo(
    data: Annotated[
        Path | None, typer.Option(help="A real file or folder; by default an exchange is simulated.")
    ] = None,
    calendar: Annotated[
        str | None, typer.Option(help="24/7, XNYS, ...; guessed from the dates where it can be.")
    ] = None,
    symbols: Annotated[int, typer.Option(help="Size of the simulated exchange.")] = 10_000,
    sessions: Annotated[int, typer.Option(help="Its sessions.")] = 730,
    live: Annotated[int, typer.Option(help="Newest sessions that arrive one by one.")] = 3,
    as_json: AsJson = False,
) -> None:
    """Show the whole system at work, from history to forecasts, and stop it again."""
    from include.demo import run_demo

    run_demo(
        load_settings(), data=data, calendar=calendar, symbols=symbols, sessions=sessions, live=live, as_json=as_json
    )


if __name__ == "__main__":
    main()
