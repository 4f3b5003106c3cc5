"""A real MediaWiki of a test's own, on a free loopback port, gone with everything in it when it ends."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.error import URLError
from urllib.request import urlopen

from app.embedded.ports import LOOPBACK, free_port

HERE: Final = ("/usr/share/mediawiki", "/var/www/mediawiki")
NEEDS: Final = ("pdo_sqlite", "intl", "mbstring", "xml")
HOW: Final = "apt-get install --no-install-recommends mediawiki php-cli php-sqlite3 php-intl php-mbstring php-xml"
PATIENCE: Final = 60.0

ROUTER: Final = """<?php
if ( parse_url( $_SERVER['REQUEST_URI'], PHP_URL_PATH ) !== '/w/api.php' ) {
	http_response_code( 404 );
	return;
}
chdir( '%(home)s' );
$_SERVER['SCRIPT_NAME'] = $_SERVER['PHP_SELF'] = '/w/api.php';
$_SERVER['SCRIPT_FILENAME'] = '%(home)s/api.php';
require '%(home)s/api.php';
"""
# Wikibase is not in Debian: the property that its client sets on a page comes from a word in the page instead.
SETTINGS: Final = """
wfLoadExtension( 'Cite' );
wfLoadExtension( 'ParserFunctions' );
$wgHooks['ContentAlterParserOutput'][] = static function ( $content, $title, $output ) {
	if ( preg_match( '/<!-- item (Q[0-9]+) -->/', $content->getText(), $found ) ) {
		$output->setPageProperty( 'wikibase_item', $found[1] );
	}
};
"""
EXTRACTS: Final = "wfLoadExtension( 'TextExtracts' );\n"


class MediaWikiMissingError(Exception):
    """There is no MediaWiki to start."""


class Wiki:
    """An installed wiki with a database of its own."""

    def __init__(self, php: str, home: Path, folder: Path, port: int) -> None:
        self._php, self._home, self._folder, self.port = php, home, folder, port

    def install(self) -> None:
        """Make the database and the settings."""
        self.maintain(
            "install", "--confpath", str(self._folder), "--dbtype", "sqlite", "--dbpath", str(self._folder / "db"),
            "--server", f"http://{LOOPBACK}:{self.port}", "--scriptpath", "/w", "--pass", "a-long-pass-word-1",
            "Films of a test", "Admin",
        )  # fmt: skip
        (self._folder / "router.php").write_text(ROUTER % {"home": self._home})

    def maintain(self, script: str, *options: str, said: str = "") -> None:
        """Run one of its maintenance scripts."""
        done = subprocess.run(
            [self._php, str(self._home / "maintenance" / f"{script}.php"), *options], input=said, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PATIENCE, check=False, cwd=self._folder,
            env=self._environ(self._settings if script != "install" else None),
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"{script}: {done.stdout[-2000:]}")

    def edit(self, title: str, text: str) -> None:
        """Write a page."""
        self.maintain("edit", "--user", "Admin", title, said=text)

    def delete(self, title: str) -> None:
        """Delete a page."""
        listed = self._folder / "delete.txt"
        listed.write_text(title)
        self.maintain("deleteBatch", str(listed))

    @contextmanager
    def served(self, more: str = EXTRACTS) -> Iterator[str]:
        """Its address, with some more settings, for as long as the block lasts."""
        port = free_port()
        settings = self._folder / f"settings-{port}.php"
        settings.write_text(f"<?php\nrequire '{self._settings}';\n{more}")
        command = [self._php, "-S", f"{LOOPBACK}:{port}", str(self._folder / "router.php")]
        with (self._folder / "log").open("ab") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self._folder,
                env=self._environ(settings),
            )  # fmt: skip
        try:
            url = f"http://{LOOPBACK}:{port}"
            self._until_up(f"{url}/w/api.php?action=query&format=json", process)
            yield url
        finally:
            process.terminate()
            process.wait(PATIENCE)

    @property
    def _settings(self) -> Path:
        return self._folder / "LocalSettings.php"

    def _environ(self, settings: Path | None) -> dict[str, str]:
        return {**os.environ, **({"MW_CONFIG_FILE": str(settings)} if settings else {})}

    def _until_up(self, url: str, process: subprocess.Popen[bytes]) -> None:
        end = time.monotonic() + PATIENCE
        while True:
            try:
                with urlopen(url, timeout=PATIENCE):
                    return
            except URLError as error:
                if process.poll() is not None or time.monotonic() > end:
                    log = (self._folder / "log").read_text()[-2000:]
                    raise RuntimeError(f"MediaWiki did not answer: {error}\n{log}") from error
                time.sleep(0.1)


@contextmanager
def mediawiki() -> Iterator[Wiki]:
    """A wiki with no page but its first. Raises MediaWikiMissingError."""
    php, home = _php(), _home()
    folder = Path(tempfile.mkdtemp(prefix="marquee-wiki-"))
    try:
        wiki = Wiki(php, home, folder, free_port())
        wiki.install()
        with (folder / "LocalSettings.php").open("a") as settings:
            settings.write(SETTINGS)
        yield wiki
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _home() -> Path:
    for place in map(Path, HERE):
        if (place / "api.php").exists():
            return place
    raise MediaWikiMissingError(f"no MediaWiki here: install it (Debian: {HOW})")


def _php() -> str:
    php = shutil.which("php")
    if php is None:
        raise MediaWikiMissingError(f"no PHP here: install it (Debian: {HOW})")
    listed = subprocess.run([php, "-m"], stdout=subprocess.PIPE, text=True, check=True, timeout=PATIENCE).stdout
    missing = set(NEEDS) - set(listed.split())
    if missing:
        raise MediaWikiMissingError(f"PHP lacks {', '.join(sorted(missing))} (Debian: {HOW})")
    return php
