"""Settings hold what the parts behind them can use, and say where a value stands that they cannot."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from msgspec.structs import force_setattr

from app.settings import CelebrityEntry, ConfigError, FilmEntry, Settings, describe, load
from app.settings_entries import by_id


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    """A file that says nothing."""
    file = tmp_path / "empty.toml"
    file.touch()
    return file


def fault(tmp_path: Path, text: str, **environ: str) -> str:
    """What is said of a file, without the folder that it lies in."""
    file = tmp_path / "marquee.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as found:
        load(file, environ)
    return str(found.value).replace(f"{tmp_path}/", "")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[[films]]\ntitle = "Heat"\n[[films]]\ntitle = "$"\n', "marquee.toml:4: films[1].title: needs a letter"),
        ('[[films]]\ntitle = "   "\n', "marquee.toml:2: films[0].title: "),
        ('[[films]]\ntitle = "   "\nimdb = "tt0068152"\n', "marquee.toml:2: films[0].title: "),
        ('[[films]]\ntitle = "Heat"\ntmdb = 99999999999\n', "marquee.toml:3: films[0].tmdb: "),
        ('[[films]]\ntitle = "Heat"\nwikidata = "Q1234567890123"\n', "marquee.toml:3: films[0].wikidata: "),
        ('[[films]]\ntitle = "Heat"\nimdb = "tt００６８１５２"\n', "marquee.toml:3: films[0].imdb: "),
        ('[[celebrities]]\nname = "..."\n', "marquee.toml:2: celebrities[0].name: needs at least one letter"),
        ('[[celebrities]]\nname = "Al"\ntmdb = 10000000000\n', "marquee.toml:3: celebrities[0].tmdb: "),
    ],
)
def test_an_entry_that_the_pipeline_would_refuse_is_named_with_line_and_key(
    tmp_path: Path, text: str, says: str
) -> None:
    assert fault(tmp_path, text).startswith(says)


def test_a_film_without_a_letter_is_fine_where_an_id_names_it(tmp_path: Path) -> None:
    file = tmp_path / "marquee.toml"
    file.write_text('[[films]]\ntitle = "$"\nimdb = "tt0068152"\n[[celebrities]]\nname = "?"\ntmdb = 5\n')
    found = load(file, {})
    assert [entry.id for entry in (*found.films, *found.celebrities)] == ["tt0068152", "tmdb:person/5"]


def test_an_entry_without_an_id_is_logged_and_takes_no_other_with_it(caplog: pytest.LogCaptureFixture) -> None:
    bad, person = FilmEntry(title="Ran"), CelebrityEntry(name="Al Pacino", wikidata="Q41163")
    force_setattr(bad, "title", "$")
    with caplog.at_level(logging.ERROR):
        assert list(by_id([bad, FilmEntry(title="Heat", imdb="tt0113277")])) == ["tt0113277"]
        assert by_id([person]) == {"Q41163": person}
    (record,) = caplog.records
    assert "needs a letter or digit" in record.getMessage()


@pytest.mark.parametrize(
    ("url", "servers"),
    [
        ("kafka://127.0.0.1:9092", ["127.0.0.1:9092"]),
        ("kafka://kafka", ["kafka"]),
        ("kafka-1:9092;kafka-2:9092", ["kafka-1:9092", "kafka-2:9092"]),
        ("kafka://a:1;kafka://b:65535;c", ["a:1", "b:65535", "c"]),
        ("kafka://[::1]:9092", ["[::1]:9092"]),
    ],
)
def test_addresses_that_a_client_can_ask_are_taken(empty: Path, url: str, servers: list[str]) -> None:
    assert load(empty, {"MARQUEE_BROKER__URL": url}).servers == servers


@pytest.mark.parametrize(
    "url",
    ["kafka://127.0.0.1:abc", "kafka://127.0.0.1:99999", "kafka://h:0", "kafka://a:1;b:x", "kafka://", "http://h:9092"],
)
def test_addresses_that_no_client_can_ask_are_refused(tmp_path: Path, url: str) -> None:
    assert fault(tmp_path, f'[broker]\nurl = "{url}"\n').startswith("marquee.toml:2: broker.url: ")
    told = fault(tmp_path, "", MARQUEE_BROKER__URL=url)
    assert told.startswith("environment MARQUEE_BROKER__URL: ")


def test_a_wrong_address_inside_is_not_told_of_the_one_outside(tmp_path: Path) -> None:
    assert fault(tmp_path, '[broker]\ninside = "a b"\n').startswith("marquee.toml:2: broker.inside: ")


@pytest.mark.parametrize(("section", "key"), [(section, key) for section, key, _ in describe()])
@pytest.mark.parametrize("number", ["inf", "nan", "1e18", "1e400", "99999999999999999999"])
def test_no_number_is_taken_that_nothing_could_work_with(tmp_path: Path, section: str, key: str, number: str) -> None:
    assert fault(tmp_path, f"[{section}]\n{key} = {number}\n").startswith(f"marquee.toml:2: {section}.{key}: ")
    if not isinstance(getattr(getattr(Settings(), section), key), str):
        told = fault(tmp_path, "", **{f"MARQUEE_{section}__{key}".upper(): number})
        assert told.startswith(f"environment MARQUEE_{section}__{key}".upper().replace("ENVIRONMENT", "environment"))


@pytest.mark.parametrize("text", ["[web]\nport = 1" + "0" * 5000 + "\n", "a = " + "[" * 3000 + "]" * 3000])
def test_a_file_that_only_looks_like_toml_is_named(tmp_path: Path, text: str) -> None:
    assert fault(tmp_path, text).startswith("marquee.toml: not valid TOML: ")


def test_a_misspelt_section_in_the_environment_is_named(tmp_path: Path) -> None:
    assert "did you mean `broker`?" in fault(tmp_path, "", MARQUEE_BROKERS__URL="kafka://h:1")
    assert "from the file only" in fault(tmp_path, "", MARQUEE_FILMS__0="Heat")


def test_a_variable_that_the_file_names_or_that_is_like_no_section_is_somebody_elses(tmp_path: Path) -> None:
    file = tmp_path / "marquee.toml"
    file.write_text('[connectors.a]\nkind = "rss"\ntoken_env = "MARQUEE_SOURCE__TOKEN"\n')
    load(file, {"MARQUEE_SOURCE__TOKEN": "t", "MARQUEE_ELSEWHERE__KEY": "1", "MARQUEE_API_TOKEN": "t"})


@pytest.mark.parametrize("name", ["a/../b", "", ".", "..", "a b", "a\n"])
def test_a_worker_is_not_called_by_what_is_no_name_of_one_folder(tmp_path: Path, name: str) -> None:
    assert fault(tmp_path, "", MARQUEE_WORKER__ID=name).startswith("environment MARQUEE_WORKER__ID: ")


@pytest.mark.parametrize("name", ["worker-1", "a.b_c", "...", "7"])
def test_a_worker_is_called_by_letters_digits_dots_dashes_and_underscores(empty: Path, name: str) -> None:
    assert load(empty, {"MARQUEE_WORKER__ID": name}).worker.id == name


@pytest.mark.parametrize("key", ["data", "images", "snapshots"])
def test_no_file_lies_behind_a_zero_byte(tmp_path: Path, key: str) -> None:
    assert fault(tmp_path, f'[storage]\n{key} = "a\\u0000b"\n').startswith(f"marquee.toml:2: storage.{key}: ")


def test_an_item_of_a_list_in_the_environment_is_named_by_its_variable(tmp_path: Path) -> None:
    told = fault(tmp_path, "", MARQUEE_FETCH__ALLOW="localhost:80,x y")
    assert told.startswith("environment MARQUEE_FETCH__ALLOW[1]: ")


def test_a_value_in_place_of_a_table_is_named_by_its_line(tmp_path: Path) -> None:
    assert fault(tmp_path, "[connectors]\na = 5\n").startswith("marquee.toml:2: connectors.a: Expected a table")
    assert fault(tmp_path, "web = 5\n", MARQUEE_WEB__PORT="0").startswith("marquee.toml:1: web: Expected `object`")


def test_a_mark_of_the_byte_order_is_no_part_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "marquee.toml"
    file.write_bytes(b"\xef\xbb\xbf[web]\r\nport = 5\r\n")
    assert load(file, {}).web.port == 5
    assert fault(tmp_path, "\ufeff[web]\nport = true\n").startswith("marquee.toml:2: web.port: ")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[mongo]\nurl = "mongodb://me:s3cret@db/x"\n', "marquee.toml:2: mongo.url: "),
        ('[mlflow]\ntracking_uri = "https://me:s3cret@m/"\n', "marquee.toml:2: mlflow.tracking_uri: "),
        ('[collecting]\nwebhook = "https://me:s3cret@h/"\n', "marquee.toml:2: collecting.webhook: "),
    ],
)
def test_a_password_in_the_file_is_refused_and_not_repeated(tmp_path: Path, text: str, says: str) -> None:
    told = fault(tmp_path, text)
    assert told.startswith(says)
    assert "set MARQUEE_" in told
    assert "s3cret" not in told


def test_a_password_comes_from_the_environment(empty: Path) -> None:
    url = "mongodb://me:s3cret@db/x"
    assert load(empty, {"MARQUEE_MONGO__URL": url}).mongo.url == url


def test_an_embedded_marquee_keeps_its_pictures_under_its_data_directory_unless_told_where(tmp_path: Path) -> None:
    file = tmp_path / "marquee.toml"
    file.touch()
    embedded = {"MARQUEE_BROKER__EMBEDDED": "true"}
    one, two = ({**embedded, "MARQUEE_STORAGE__DATA": name} for name in ("one", "/far/two"))
    assert [load(file, environ).storage.images for environ in (one, two)] == ["one/images", "/far/two/images"]
    assert load(file, embedded).storage.images == "data/images"
    assert load(file, {**one, "MARQUEE_STORAGE__IMAGES": "data/images"}).storage.images == "data/images"
    file.write_text('[storage]\ndata = "three"\nimages = "mine"\n[broker]\nembedded = true\n')
    assert load(file, {}).storage.images == load(file, one).storage.images == "mine"
    file.write_text('[storage]\ndata = "three"\n[broker]\nembedded = true\n')
    assert load(file, {}).storage.images == "three/images"


def test_workers_for_servers_elsewhere_share_one_folder_of_pictures_wherever_their_data_is(empty: Path) -> None:
    assert load(empty, {"MARQUEE_STORAGE__DATA": "one"}).storage.images == "data/images"
    assert load(empty, {}).storage.images == "data/images"


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("storage = 5\n[broker]\nembedded = true\n", "storage"),
        ("broker = 5\n", "broker"),
        ("[storage]\ndata = 5\n[broker]\nembedded = true\n", "storage.data"),
        ("[broker]\nembedded = 5\n", "broker.embedded"),
    ],
)
def test_a_mistake_beside_which_pictures_are_placed_is_told_as_ever(tmp_path: Path, text: str, key: str) -> None:
    assert f": {key}: " in fault(tmp_path, text)
