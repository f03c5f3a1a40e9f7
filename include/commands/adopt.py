"""`closecast models adopt`: a team's own pre-trained model becomes a registered version."""

from __future__ import annotations

import getpass
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from include.commands.options import AsJson
from include.console import build_facts, emit, out, plain, show_steps

if TYPE_CHECKING:
    from include.adopt.adopt import Adopted


def adopt(
    keras: Annotated[Path, typer.Option(help="The network, as Keras 2 saved it (.h5).")],
    scaler: Annotated[Path, typer.Option(help="The pickle of its scalers; it is read as data, nothing in it runs.")],
    contract: Annotated[str, typer.Option(help="What the files are: crypto-open-v1.")],
    names: Annotated[
        Path | None,
        typer.Option(help="CSV with the columns symbol, as the scalers have it, and name, as bars have it."),
    ] = None,
    check: Annotated[
        tuple[Path, Path] | None,
        typer.Option(help="An upload, and the answers that the original gives for it: register only what agrees."),
    ] = None,
    fitted_to: Annotated[
        str | None, typer.Option(help="YYYY-MM-DD, the last session that it was fitted on, where that is known.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Register a team's own pre-trained model as a version; the same files again give the same version."""
    from include.adopt.adopt import Files, adopt_model
    from include.home import current_settings
    from include.tasks import parse_session

    settings = current_settings()
    with show_steps() as step:
        line = step("Adopt")
        found = adopt_model(
            settings,
            Files(keras, scaler, names, check),
            contract=contract,
            who=getpass.getuser(),
            fitted_to=parse_session(fitted_to) if fitted_to else None,
            say=line.say,
        )
        line.finish(f"version {found.version}")
    emit(asdict(found), as_json=as_json, render=lambda: _show(found))


def _show(found: Adopted) -> None:
    title = f"Version {found.version}" + ("" if found.is_new else ": these files were adopted before")
    facts = {
        "contract": f"{found.contract}: forecasts the {' and '.join(found.forecasts)} alone",
        "window": f"{found.lookback} sessions",
        "vocabulary": f"{found.symbols:,} symbol(s); any other gets the last close and the reason",
        "network": f"Keras {found.written_by}, SHA-256 {found.model_sha256}",
        "scalers": f"SHA-256 {found.scaler_sha256}",
    }
    if found.checked:
        facts["answers"] = (
            f"{found.checked.rows:,} row(s) agree; largest relative difference"
            f" {found.checked.relative_difference:.2g}, absolute {found.checked.absolute_difference:.2g}"
            f" ({100 * found.checked.tolerance_share:.0f} % of the tolerance, {found.checked.worst})"
        )
    out.print(build_facts(title, {name: plain(value) for name, value in facts.items()}))
    out.print(f"no gate has passed it: closecast models promote {found.version} --why ...")
