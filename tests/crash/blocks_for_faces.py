"""Runs Faust with the fake face engine: workers that are killed often need not load the real one each time."""

from __future__ import annotations

from faust.cli.faust import cli

from app.pictures import service

ENGINE = "tests.pictures.fake_faces:load_fake"

if __name__ == "__main__":
    service.FACES = ENGINE  # type: ignore[misc]
    cli()
