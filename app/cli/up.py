"""`marquee up`: run it all until Ctrl-C."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from app.cli.call import Call, CliError, command, run

if TYPE_CHECKING:
    from app.embedded.up import Running
    from app.settings import Settings


def add_to(main: click.Group) -> None:
    """Add this command."""
    embedded = click.Option(
        ["--embedded"], is_flag=True, help="Start broker, database and MLflow too, on this machine."
    )
    port = click.Option(["--web-port"], type=click.IntRange(0, 65535), metavar="P", help="0 takes a free one.")
    workers = click.Option(["--workers"], type=click.IntRange(1, 64), default=1, show_default=True, metavar="N")
    told = "marquee up --embedded --data-dir data"
    command(main, "up", embedded, port, workers, example=told, data=False)(_up)


def _up(call: Call, embedded: bool, web_port: int | None, workers: int) -> None:
    """Run Marquee until Ctrl-C: with --embedded everything on this machine, else workers for the configured servers.

    Embedded, everything lies under the data directory and comes back at the next start. The addresses lie in
    marquee.json there, for as long as it runs; logs in its folder logs.
    """
    from app.embedded.lock import make_directory
    from app.observe.logs import configure_logging
    from app.web.guard import TOKEN_VARIABLE, check_exposure

    if embedded and workers > 1:
        raise click.UsageError(
            "The embedded broker serves one worker: for more use `docker compose up`, or your own Kafka without "
            "--embedded.",
            click.get_current_context(),
        )
    settings = call.own_settings()
    # Each worker would find out by itself, after everything else is started.
    check_exposure(settings.web.host, os.environ.get(TOKEN_VARIABLE, ""))
    configure_logging(settings.worker.log)
    make_directory(settings.data_dir)
    run(_run(call, settings, embedded, web_port, workers))


async def _run(call: Call, settings: Settings, embedded: bool, web_port: int | None, workers: int) -> None:
    from app.embedded.local import LocalWorkers
    from app.embedded.up import EmbeddedMarquee, run_until_stopped

    marquee: Running
    if embedded:
        click.echo(f"starting broker, database and MLflow under {settings.data_dir} ...", err=True)
        marquee = EmbeddedMarquee(
            settings, settings.data_dir, web_port=web_port, config=_config(call), tell=lambda t: click.echo(t, err=True)
        )
    else:
        click.echo(f"starting {workers} worker(s) for {settings.broker.url} ...", err=True)
        marquee = LocalWorkers(settings, settings.data_dir, count=workers, web_port=web_port, config=_config(call))
    await run_until_stopped(marquee, lambda running: _welcome(running, settings))
    click.echo("stopped", err=True)


def _config(call: Call) -> Path | None:
    if call.config is not None and not call.config.exists():
        raise CliError(f"{call.config} is not there; name another with --config")
    return call.config


def _welcome(running: Any, settings: Settings) -> None:
    click.echo(f"Marquee is up: {running.web_url} (Ctrl-C stops it; logs in {settings.data_dir / 'logs'})")
