"""People and their pictures through every stage, projection and model, without a broker or a network."""

from __future__ import annotations

import hashlib
import json

import msgspec
import pytest

from agents.intake import configured_id
from app.rulings import CannotRuleError
from app.storage.collecting import FORGOTTEN
from schemas.commands import PushCelebrity, PushFilm, SubmitCelebrity
from schemas.ids import celebrity_id, item_id
from schemas.pictures import ForgetCelebrity, ImageFound
from schemas.scrapes import SteerConnector

TILDA, KEANU = "Q200534", "Q43416"


def photo(n: int, of: str = TILDA, version: str = "original") -> str:
    return f"photo:{n}/of:{of}/{version}"


async def test_pictures_of_a_celebrity_are_kept_once_each_and_learnt(story):
    await story.celebrity("Tilda Swinton", TILDA)
    await story.find(TILDA, photo(1), photo(2), photo(2, version="q50"), photo(3))
    assert await story.verdicts(TILDA) == {
        photo(1): "kept",
        photo(2): "kept",
        photo(2, version="q50"): "duplicate",
        photo(3): "kept",
    }
    person = await story.store.people.celebrity(TILDA)
    assert (person.name, person.images) == ("Tilda Swinton", {"kept": 3, "duplicate": 1})
    kept = [json.loads(raw.value) for raw in story.log.records("images-kept")]
    assert {event["celebrity_id"] for event in kept} == {TILDA}
    assert all(event["path"].startswith("clean/") and len(event["phash"]) == 16 for event in kept)
    assert story.runner.models["faces"].learner.counts()["faces"] == 3


async def test_what_cannot_be_used_is_rejected_with_its_reason_and_the_others_pass(story):
    await story.find(TILDA, "missing", "hostile", photo(1), photo(2, of=""), photo(3))
    page = await story.store.people.images(TILDA, None, 100, None)
    said = {item.url: (item.verdict, item.reason) for item in page.items}
    assert said["missing"] == ("failed", "missing: the server answered 404")
    assert said["hostile"] == ("rejected", "looks like HTML")
    assert said[photo(2, of="")][0] == "rejected"
    assert "no face" in said[photo(2, of="")][1]
    assert [said[photo(n)][0] for n in (1, 3)] == ["kept", "kept"]


async def test_an_address_is_asked_for_once_and_again_only_if_it_failed(story):
    await story.find(TILDA, photo(1), "missing")
    await story.find(TILDA, photo(1), "missing", source="tmdb")
    assert story.pictures.asked == [photo(1), "missing", "missing"]
    assert await story.verdicts(TILDA) == {photo(1): "kept", "missing": "failed"}


async def test_a_full_disk_is_waited_for(story):
    story.pictures.away = 2
    await story.find(TILDA, photo(1))
    assert await story.verdicts(TILDA) == {photo(1): "kept"}


async def test_another_persons_face_is_not_kept_among_a_persons_own(story):
    await story.find(TILDA, photo(1), photo(2), photo(3))
    await story.find(TILDA, photo(4, of=KEANU))
    assert (await story.verdicts(TILDA))[photo(4, of=KEANU)] == "rejected"


async def test_a_group_picture_is_kept_for_the_person_whose_centroid_is_near(story):
    await story.find(TILDA, photo(1), photo(2))
    await story.find(TILDA, photo(5, of=f"{KEANU}+{TILDA}"))
    assert (await story.verdicts(TILDA))[photo(5, of=f"{KEANU}+{TILDA}")] == "kept"


async def test_one_picture_of_two_people_is_a_conflict_that_a_ruling_resolves(story):
    both = photo(7, of=f"{TILDA}+{KEANU}")
    await story.find(TILDA, photo(1))
    await story.find(KEANU, photo(2, of=KEANU))
    await story.find(TILDA, both)
    await story.find(KEANU, both)
    assert (await story.verdicts(KEANU))[both] == "conflict"
    conflict = next(i for i in (await story.store.people.images(KEANU, None, 9, None)).items if i.verdict == "conflict")
    assert conflict.conflict_with == TILDA
    await story.rule(item_id(KEANU, both), KEANU, "keep", "it is his")
    await story.rule(item_id(TILDA, both), TILDA, "reject")
    assert (await story.verdicts(KEANU))[both] == "kept"
    assert (await story.verdicts(TILDA))[both] == "rejected"


async def test_a_person_who_is_forgotten_leaves_nothing_and_others_keep_theirs(story):
    await story.celebrity("Tilda Swinton", TILDA)
    await story.find(TILDA, photo(1), photo(2), "missing")
    await story.find(KEANU, photo(3, of=KEANU), photo(4, of=KEANU))
    await story.forget(TILDA)
    assert await story.verdicts(TILDA) == {}
    assert await story.store.people.celebrity(TILDA) is None
    assert await story.verdicts(KEANU) == {photo(3, of=KEANU): "kept", photo(4, of=KEANU): "kept"}
    assert {area for area, _ in story.pictures.erased} == {"original", "clean", "thumbnail"}
    rows = [key for name in ("claims", "faces") for rows in story.runner.tables[name].stored.values() for key in rows]
    assert not any(item_id(TILDA, photo(n)).encode() in key for key in rows for n in (1, 2))
    assert story.runner.models["faces"].learner.counts()["faces"] == 2


async def test_a_person_who_was_forgotten_can_be_pushed_again_and_is_collected_anew(story):
    await story.celebrity("Tilda Swinton", TILDA)
    await story.find(TILDA, photo(1), photo(2))
    await story.forget(TILDA)
    story.now += 60_000
    await story.celebrity("Tilda Swinton", TILDA)
    await story.find(TILDA, photo(1), photo(2))
    assert (await story.store.people.celebrity(TILDA)).name == "Tilda Swinton"
    assert await story.verdicts(TILDA) == {photo(1): "kept", photo(2): "kept"}
    assert story.pictures.asked == [photo(1), photo(2)] * 2


async def test_connectors_are_asked_about_a_person_in_each_of_their_lives_and_once_in_each(story):
    for lives in (1, 2, 3):
        for _ in range(2):
            await story.celebrity("Tilda Swinton", TILDA)
        assert [len(story.asked(connector)) for connector in ("commons", "google")] == [lives, lives]
        await story.forget(TILDA)
        story.now += 60_000
    assert len({run.run_id for run in story.asked("commons")}) == 3


async def test_who_is_searched_by_name_only_is_not_searched_again_when_more_ids_are_known(story):
    await story.celebrity("Tilda Swinton", TILDA)
    story.runner.push(SubmitCelebrity(celebrity_id=TILDA, name="Tilda Swinton", imdb="nm0842770", tmdb=3063))
    await story.runner.settle()
    assert [run.targets[0].imdb for run in story.asked("commons")] == [None, "nm0842770"]
    assert [run.targets[0].name for run in story.asked("google")] == ["Tilda Swinton"]


async def test_what_was_under_way_when_a_person_was_forgotten_leaves_no_file(story):
    story.runner.push(ForgetCelebrity(celebrity_id=TILDA))
    story.runner.push(ImageFound(celebrity_id=TILDA, source="commons", url=photo(1)))
    await story.runner.settle()
    assert await story.verdicts(TILDA) == {}
    assert [area for area, _ in story.pictures.erased] == ["original"]


async def forget_meanwhile(story, person: str) -> None:
    """Everybody hears of the forgetting but the stage that is fetching."""
    story.runner.push(ForgetCelebrity(celebrity_id=person))
    await story.runner.settle("claim", "register-celebrity", "project-forgotten")


async def test_what_is_fetched_while_its_person_is_forgotten_leaves_no_file(story):
    await story.celebrity("Tilda Swinton", TILDA)
    story.pictures.meanwhile = lambda: forget_meanwhile(story, TILDA)
    await story.find(TILDA, photo(1))
    assert story.pictures.asked == [photo(1)]
    assert story.pictures.erased == [("original", hashlib.sha256(photo(1).encode()).hexdigest())]
    assert await story.verdicts(TILDA) == {}
    assert not any((await story.store.people.left(TILDA))[0].values())


async def test_a_file_that_somebody_else_has_too_stays_when_one_of_both_is_forgotten_while_it_is_fetched(story):
    both = photo(7, of=KEANU)
    await story.celebrity("Tilda Swinton", TILDA)
    await story.find(KEANU, both)
    story.pictures.meanwhile = lambda: forget_meanwhile(story, TILDA)
    await story.find(TILDA, both)
    assert story.pictures.asked == [both, both]
    assert story.pictures.erased == []
    assert await story.verdicts(KEANU) == {both: "kept"}


async def test_runs_that_wait_let_go_of_who_is_forgotten_until_the_person_is_pushed_again(story):
    collector = story.collector()
    for connector in ("commons", "google"):
        story.runner.push(SteerConnector(connector=connector, action="pause"))
    await story.celebrity("Tilda Swinton", TILDA)
    await story.celebrity("Keanu Reeves", KEANU)
    await collector.tick()
    assert story.waiting("google") == [(TILDA, 0), (KEANU, 0)]
    await story.forget(TILDA)
    await collector.tick()
    await story.runner.settle()
    assert story.waiting("commons") == story.waiting("google") == [(KEANU, 0)]
    runs = (await story.store.runs.runs("commons", 10)).items
    assert {(run.status, run.error) for run in runs} == {("waiting", None), ("skipped", FORGOTTEN)}
    story.now += 60_000
    await story.celebrity("Tilda Swinton", TILDA)
    await collector.tick()
    await story.runner.settle()
    [(_, known), (person, life)] = story.waiting("commons")
    assert (known, person) == (0, TILDA)
    assert life > 0


async def test_a_person_nobody_pushed_is_registered_by_the_id_and_named_later(story):
    await story.find(TILDA, photo(1))
    assert (await story.store.people.celebrity(TILDA)).name is None
    await story.celebrity("Tilda Swinton", TILDA)
    assert (await story.store.people.celebrity(TILDA)).name == "Tilda Swinton"


async def test_a_tmdb_number_that_is_none_is_a_dead_letter_at_the_door_and_a_correct_push_is_not_held_up_by_it(story):
    for number in (-4, 0, 10**10):
        story.runner.push(PushCelebrity(name="Neg", wikidata="Q931", tmdb=number))
    # As it stood on the topic before the door was held to it.
    story.runner.push(SubmitCelebrity(celebrity_id="Q931", name="Neg", wikidata="Q931", tmdb=-4, pushed=True))
    await story.runner.settle()
    letters = [json.loads(raw.value) for raw in story.log.records("dead-letters")]
    assert [letter["origin_topic"] for letter in letters] == ["input"] * 3
    assert (await story.store.people.celebrity("Q931")).tmdb is None
    story.runner.push(PushCelebrity(name="Neg", wikidata="Q931", tmdb=4))
    await story.runner.settle()
    assert (await story.store.people.celebrity("Q931")).tmdb == 4


async def test_a_find_for_no_persons_id_is_a_dead_letter(story):
    await story.find("Tilda", photo(1))
    letters = [json.loads(raw.value) for raw in story.log.records("dead-letters")]
    assert ["celebrity_id" in letter["error"] for letter in letters] == [True] * len(letters)
    assert letters
    assert story.pictures.asked == []


async def test_a_submission_that_comes_after_the_forgetting_it_was_made_before_is_dropped(story):
    await story.celebrity("Tilda Swinton", TILDA)
    late = story.log.records("celebrity-submissions")[0]
    story.now += 1_000
    await story.forget(TILDA)
    story.log.append("celebrity-submissions", late.key, late.value, late.headers, partition=late.partition)
    await story.runner.settle()
    assert len(story.log.records("celebrities-registered")) == 1


async def test_what_comes_after_a_forgetting_is_dropped_until_somebody_pushes_the_person_anew(story):
    await story.celebrity("Tilda Swinton", TILDA)
    await story.find(TILDA, photo(1))
    await story.forget(TILDA)
    story.now += 60_000
    # A connector's run that began before goes on, and tells of the person too.
    await story.find(TILDA, photo(2), photo(3))
    story.runner.push(SubmitCelebrity(celebrity_id=TILDA, name="Tilda Swinton", imdb="nm0842770"))
    await story.runner.settle()
    story.now += 60_000
    story.runner.push(PushCelebrity(name="Tilda Swinton", wikidata=TILDA), ce_id=configured_id(TILDA))
    await story.runner.settle()
    assert await story.store.people.celebrity(TILDA) is None
    assert await story.verdicts(TILDA) == {}
    assert not any((await story.store.people.left(TILDA))[0].values())
    assert story.pictures.asked == [photo(1)]
    story.now += 60_000
    await story.celebrity("Tilda Swinton", TILDA)
    await story.find(TILDA, photo(2), photo(4))
    assert (await story.store.people.celebrity(TILDA)).name == "Tilda Swinton"
    assert await story.verdicts(TILDA) == {photo(2): "kept", photo(4): "kept"}


async def test_a_fetch_that_did_not_know_of_the_forgetting_brings_nobody_back(story):
    await story.celebrity("Tilda Swinton", TILDA)
    story.runner.push(ForgetCelebrity(celebrity_id=TILDA))
    story.now += 60_000
    # Found after the command was given, and fetched before the stages that know people have heard of it.
    story.runner.push(ImageFound(celebrity_id=TILDA, source="commons", url=photo(1)))
    await story.runner.settle()
    assert story.pictures.asked == [photo(1)]
    assert await story.verdicts(TILDA) == {}
    assert [area for area, _ in story.pictures.erased] == ["original"]


@pytest.mark.parametrize("belongs_to", [TILDA, KEANU, "both", "neither"])
async def test_a_conflict_that_was_settled_leaves_no_id_of_who_is_forgotten_with_the_other(story, belongs_to):
    both = photo(7, of="somebody")
    await story.find(KEANU, both)
    await story.find(TILDA, both)
    await story.resolve(TILDA, both, belongs_to)
    before = await story.verdicts(KEANU)
    await story.forget(TILDA)
    assert await story.verdicts(KEANU) == before
    rows = [row for name in ("claims", "faces") for rows in story.runner.tables[name].stored.values() for row in rows]
    kept = {key for key in rows if TILDA.encode() in key}
    assert kept <= {f"gone|{TILDA}".encode(), f"person|{TILDA}".encode()}
    values = [
        row
        for name in ("claims", "faces")
        for rows in story.runner.tables[name].stored.values()
        for row in rows.values()
    ]
    assert not any(TILDA.encode() in value for value in values)
    shown = msgspec.json.encode((await story.store.people.images(KEANU, None, 9, None)).items)
    assert TILDA.encode() not in shown
    for topic in ("images-fetched", "images-examined", "images-rejected", "images-discarded"):
        said = [json.loads(raw.value) for raw in story.log.records(topic)]
        assert not any(TILDA in str(each) for each in said if each.get("celebrity_id") == KEANU)


async def test_a_conflict_is_over_when_one_of_the_two_is_forgotten(story):
    both = photo(7, of=f"{TILDA}+{KEANU}")
    await story.find(TILDA, both)
    await story.find(KEANU, both)
    assert (await story.verdicts(KEANU))[both] == "conflict"
    await story.forget(TILDA)
    assert (await story.verdicts(KEANU))[both] == "rejected"
    assert (await story.store.people.counts()).conflicts == 0
    rows = [row for rows in story.runner.tables["claims"].stored.values() for row in rows.values()]
    assert not any(b'"conflict"' in row for row in rows)
    assert [key for rows in story.runner.tables["claims"].stored.values() for key in rows if TILDA.encode() in key] == [
        f"gone|{TILDA}".encode()
    ]


THIRD = "local:583e1f7d-0000-5000-8000-000000000000"


async def three_claim(story, *addresses):
    """Keanu holds a picture that Tilda and a third person claim too."""
    for who in (KEANU, TILDA, THIRD):
        await story.find(who, *addresses)


async def test_when_a_conflict_is_settled_the_others_are_with_the_present_holder(story):
    picture = photo(7, of="somebody")
    await three_claim(story, picture)
    await story.resolve(TILDA, picture, TILDA)
    left = await story.store.people.item(THIRD, item_id(THIRD, picture))
    assert (left.verdict, left.conflict_with) == ("conflict", TILDA)
    with pytest.raises(CannotRuleError, match=f"marquee celebrity {KEANU} --keep"):
        await story.resolve(THIRD, picture, KEANU)
    await story.resolve(THIRD, picture, TILDA)
    assert [(await story.verdicts(who))[picture] for who in (KEANU, TILDA, THIRD)] == ["rejected", "kept", "rejected"]


@pytest.mark.parametrize("on", [TILDA, THIRD])
async def test_a_later_answer_takes_the_picture_from_whoever_holds_it_now(story, on):
    picture = photo(7, of="somebody")
    await three_claim(story, picture)
    await story.resolve(TILDA, picture, TILDA)
    await story.resolve(on, picture, THIRD)
    assert [(await story.verdicts(who))[picture] for who in (KEANU, TILDA, THIRD)] == ["rejected", "rejected", "kept"]


async def test_whoever_shares_a_picture_is_a_side_of_the_conflicts_that_are_left(story):
    picture = photo(7, of="somebody")
    await three_claim(story, picture)
    await story.resolve(TILDA, picture, "both")
    await story.resolve(THIRD, picture, THIRD)
    assert [(await story.verdicts(who))[picture] for who in (KEANU, TILDA, THIRD)] == ["rejected", "rejected", "kept"]


async def test_who_is_in_a_conflict_of_their_own_is_no_answer_to_that_of_another(story):
    picture = photo(7, of="somebody")
    await three_claim(story, picture)
    with pytest.raises(CannotRuleError, match="a conflict of their own"):
        await story.resolve(TILDA, picture, THIRD)
    assert (await story.store.people.counts()).conflicts == 2


async def test_a_conflict_that_nobody_holds_any_more_waits_for_a_word_and_follows_it(story):
    picture = photo(7, of="somebody")
    await three_claim(story, picture)
    await story.rule(item_id(KEANU, picture), KEANU, "reject")
    with pytest.raises(CannotRuleError, match="keep it or reject it"):
        await story.resolve(THIRD, picture, "both")
    await story.rule(item_id(TILDA, picture), TILDA, "keep")
    assert (await story.store.people.item(THIRD, item_id(THIRD, picture))).conflict_with == TILDA


@pytest.mark.parametrize(
    ("belongs_to", "verdicts"),
    [
        (TILDA, {TILDA: ["duplicate", "kept"], KEANU: ["duplicate", "rejected"]}),
        (KEANU, {TILDA: ["rejected", "rejected"], KEANU: ["duplicate", "kept"]}),
        ("both", {TILDA: ["duplicate", "kept"], KEANU: ["duplicate", "kept"]}),
        ("neither", {TILDA: ["rejected", "rejected"], KEANU: ["duplicate", "rejected"]}),
    ],
)
async def test_one_answer_settles_a_picture_at_all_its_addresses(story, belongs_to, verdicts):
    addresses = [photo(7, of="somebody") + at for at in ("?commons", "?tmdb")]
    await story.find(KEANU, *addresses)
    await story.find(TILDA, *addresses)
    await story.resolve(TILDA, addresses[1], belongs_to)
    found = {who: sorted((await story.verdicts(who)).values()) for who in verdicts}
    assert found == verdicts
    assert (await story.store.people.counts()).conflicts == 0


@pytest.mark.parametrize("wikidata", [TILDA, None])
async def test_names_and_titles_are_one_line_whoever_pushes_them(story, wikidata):
    story.runner.push(PushCelebrity(name="Tilda\x07\nSwinton\x9b", wikidata=wikidata))
    story.runner.push(PushFilm(title="Orl\tando\x85", imdb="tt0107756"))
    await story.runner.settle()
    (person,) = (await story.store.people.celebrities()).items
    assert person.name == "Tilda Swinton"
    assert person.celebrity_id == celebrity_id("Tilda Swinton", wikidata, None)
    (film,) = (await story.store.films.films()).items
    assert film.title == "Orl ando"
