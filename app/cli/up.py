"""`marquee up`: run it all until Ctrl-C."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from app.cli.call import Call, CliError, Whole, command, run

if TYPE_CHECKING:
    from aiohttp import ClientSession

    from app.embedded.up import Running
    from app.settings import Settings

POLL_SECONDS: Final = 0.5
POLL_TIMEOUT: Final = 10.0


def add_to(main: click.Group) -> None:
    """Add this command."""
    embedded = click.Option(
        ["--embedded"], is_flag=True, help="Start broker, database and MLflow too, on this machine."
    )
    port = click.Option(["--web-port"], type=Whole(0, 65535), metavar="P", help="0 takes a free one.")
    workers = click.Option(["--workers"], type=Whole(1, 64), default=1, show_default=True, metavar="N")
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
    if embedded:
        await run_until_stopped(marquee, lambda running: _welcome(running, settings))
    else:
        await run_until_stopped(marquee, lambda _: None, lambda running: _announce(running, settings))
    click.echo("stopped", err=True)


async def _announce(running: Running, settings: Settings) -> None:
    """Say that it is up once it is, and before that what it waits for; never returns."""
    import asyncio

    import aiohttp

    told: tuple[str, ...] = ()
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=POLL_TIMEOUT)) as session:
        while (missing := await _waits_for(session, f"{running.web_url}/readyz", settings)) is not None:
            if missing and missing != told:
                told = missing
                click.echo(f"started; waiting for {' and '.join(missing)} (Ctrl-C stops it)", err=True)
            await asyncio.sleep(POLL_SECONDS)
    _welcome(running, settings)
    await asyncio.Event().wait()


async def _waits_for(session: ClientSession, url: str, settings: Settings) -> tuple[str, ...] | None:
    """The servers that a worker misses, none where it only is not ready yet; None where it is ready."""
    import aiohttp

    from app.cli.checks import shown

    servers = {"kafka": f"Kafka at {shown(settings.broker.url)}", "mongo": f"MongoDB at {shown(settings.mongo.url)}"}
    try:
        async with session.get(url) as response:
            if response.status == 200:
                return None
            checks = (await response.json())["checks"]
    except (aiohttp.ClientError, TimeoutError, ValueError, KeyError):
        # A worker that is gone is started again, or its end is told elsewhere.
        return ()
    return tuple(text for name, text in servers.items() if not checks[name]["ok"])


def _config(call: Call) -> Path | None:
    if call.config is not None and not call.config.exists():
        raise CliError(f"{call.config} is not there; name another with --config")
    return call.config


def _welcome(running: Any, settings: Settings) -> None:
    click.echo(f"Marquee is up: {running.web_url} (Ctrl-C stops it; logs in {settings.data_dir / 'logs'})")
