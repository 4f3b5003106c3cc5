"""What every command shares: its common options, the settings it talks with, and mistakes as one line."""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from agents.errors import Unavailable
from app.cli.output import harmless
from app.embedded.addresses import Addresses, running
from app.embedded.lock import is_locked
from app.embedded.process import EmbeddedError
from app.settings import ConfigError, Settings, load
from schemas.base import Rejected

T = TypeVar("T")


class CliError(Exception):
    """The command failed; the text is the one line that says what to do."""


class Whole(click.IntRange):
    """A whole number within limits; a mistake is answered with what is `wanted` there."""

    def __init__(self, least: int, most: int, wanted: str = "") -> None:
        super().__init__(least, most)
        self._wanted = wanted or f"a whole number from {least} to {most}"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number. Raises click.BadParameter."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            self.fail(f"{value!r} is not {self._wanted}", param, ctx)


class Call(msgspec.Struct, frozen=True):
    """The common options of one call."""

    config: Path | None = None
    data_dir: Path | None = None
    as_json: bool = False
    debug: bool = False

    def settings(self, environ: Mapping[str, str] = os.environ) -> Settings:
        """The settings, with the addresses of the Marquee that runs in the data directory, if one does.

        Raises ConfigError, or CliError where `--data-dir` names a directory in which none runs.
        """
        own = self.own_settings(environ)
        found = running(own.data_dir)
        if found is None and self.data_dir is not None:
            if is_locked(own.data_dir):
                raise CliError(f"a Marquee starts or stops in {self.data_dir}: try again in a moment")
            start = f"start one with `marquee up --embedded --data-dir {self.data_dir}`"
            raise CliError(f"no Marquee runs in {self.data_dir}: {start}, or leave --data-dir out")
        if found is None or "MARQUEE_BROKER__URL" in environ:
            return own
        return load(self.config, environ={**environ, **_places(own), **_addresses(found)})

    def own_settings(self, environ: Mapping[str, str] = os.environ) -> Settings:
        """The settings as configured, whether anything runs or not. Raises ConfigError."""
        place = {"MARQUEE_STORAGE__DATA": str(self.data_dir)} if self.data_dir is not None else {}
        return load(self.config, environ={**environ, **place})


def _places(own: Settings) -> dict[str, str]:
    return {"MARQUEE_STORAGE__DATA": str(own.data_dir)}


def _addresses(found: Addresses) -> dict[str, str]:
    host, _, port = (found.web or "").removeprefix("http://").rpartition(":")
    # Another Marquee may listen where this one has no web server yet: 0 is nobody's port.
    web = {"MARQUEE_WEB__HOST": host, "MARQUEE_WEB__PORT": port} if found.web else {"MARQUEE_WEB__PORT": "0"}
    embedded = {"MARQUEE_BROKER__EMBEDDED": "true"} if found.embedded else {}
    return {
        "MARQUEE_BROKER__URL": found.broker,
        "MARQUEE_MONGO__URL": found.mongo,
        "MARQUEE_MLFLOW__TRACKING_URI": found.mlflow,
        **web,
        **embedded,
    }


def command(
    group: click.Group, name: str, *params: click.Parameter, example: str, data: bool = True
) -> Callable[[Callable[..., None]], click.Command]:
    """Add a command with its own and the common options; the function gets a Call first. `data`: it has `--json`."""

    def add(function: Callable[..., None]) -> click.Command:
        @functools.wraps(function)
        def run(
            config: Path | None,
            data_dir: Path | None,
            debug: bool,
            as_json: bool = False,
            **options: Any,
        ) -> None:
            function(Call(config, data_dir, as_json, debug), **options)

        wrapped: Callable[..., None] = run
        for option in reversed(_common(data)):
            wrapped = option(wrapped)
        return group.command(name, params=list(params), epilog=f"Example: {example}")(wrapped)

    return add


def command_group(main: click.Group, name: str, *, told: str, example: str) -> click.Group:
    """Add a group of commands, whose help has an example as theirs has."""
    found = click.Group(name, help=told, epilog=f"Example: {example}")
    main.add_command(found)
    return found


def sort_option(*fields: str) -> click.Option:
    """`--sort` by one of these fields."""
    told = f"{', '.join(fields[:-1])} or {fields[-1]}; a minus in front turns it round."
    return click.Option(
        ["--sort"], type=click.Choice([*fields, *(f"-{name}" for name in fields)]), metavar="F", help=told
    )


def _common(data: bool) -> list[Callable[[Any], Any]]:
    path = click.Path(path_type=Path)
    options = [
        click.option("--config", type=path, metavar="FILE", help="Configuration file (default: marquee.toml)."),
        click.option("--data-dir", type=path, metavar="D", help="Directory of the Marquee to talk to."),
        click.option("--debug", is_flag=True, help="Show where an error came from."),
    ]
    if data:
        options.insert(0, click.option("--json", "as_json", is_flag=True, help="Print JSON."))
    return options


class MarqueeGroup(click.Group):
    """The whole command line: exits 0 when done, 1 when it failed, 2 when called wrongly."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a command; what goes wrong is told in one line."""
        if not standalone_mode:
            return super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        given = sys.argv[1:] if args is None else args
        if "--debug" not in given:
            # What it warns of without a configured log would stand beside the one line that says what to do.
            logging.getLogger("aiokafka").addHandler(logging.NullHandler())
        try:
            code = super().main(args, "marquee", complete_var, standalone_mode=False, **extra)
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            sys.exit(2)
        except click.UsageError as error:
            sys.exit(_complain(_usage(error), 2))
        except (click.Abort, KeyboardInterrupt):
            sys.exit(_complain("stopped", 1))
        except BrokenPipeError:
            # Whoever read the output has gone; what is left of it must not raise at exit either.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(1)
        except Exception as error:
            if "--debug" in given:
                raise
            sys.exit(_complain(explain(error), 1))
        sys.exit(code if isinstance(code, int) else 0)


def _usage(error: click.UsageError) -> str:
    where = error.ctx.command_path if error.ctx is not None else "marquee"
    return f"{error.format_message().rstrip('.')}. See `{where} --help`."


def _complain(text: str, code: int) -> int:
    click.echo(f"marquee: {harmless(' '.join(text.split()))}", err=True)
    return code


def explain(error: BaseException) -> str:
    """One line for an error: its own words where they were written for people, else its kind and a way on."""
    if isinstance(error, CliError | ConfigError | EmbeddedError | Rejected | click.ClickException):
        return str(error) if not isinstance(error, click.ClickException) else error.format_message()
    if isinstance(error, Unavailable) and str(error).startswith("MongoDB"):
        return f"{error}: start it (`marquee up --embedded`), name its directory with --data-dir, or set [mongo] url"
    module = type(error).__module__.partition(".")[0]
    if module == "aiokafka" or isinstance(error, TimeoutError):
        what = str(error) or type(error).__name__
        return f"Kafka does not do what was asked ({what}): is it running? Try `marquee doctor`"
    if module in ("app", "agents", "models"):
        return str(error)
    if isinstance(error, OSError):
        return f"{error}: try `marquee doctor`" if error.filename is None else str(error)
    return f"{type(error).__name__}: {error} (--debug shows where)"


def run(work: Coroutine[Any, Any, T]) -> T:
    """The result of asynchronous work."""
    return asyncio.run(work)
