"""People and their pictures as they live in memory: finds, copies, rivals, rulings and forgettings, in any order."""

from __future__ import annotations

import random

from schemas.commands import PushCelebrity
from schemas.ids import item_id
from schemas.pictures import ForgetCelebrity, ImageFound, RuleImage
from tests.stories.conftest import Story

PEOPLE = ("Q101", "Q102", "Q103", "Q104")
PHOTOS = 60


async def famous(seed: int, events: int, partitions: int = 3, forgettings: bool = True) -> Story:
    """What happens to four people, settled at odd moments."""
    story = Story(partitions)
    chance = random.Random(f"famous {seed}")
    kinds = [_find] * 14 + [_push] + [_rule] * 4 + ([_forget] if forgettings else [])
    told: list[tuple[str, str]] = []
    for n in range(events):
        story.now += chance.randrange(1, 50)
        chance.choice(kinds)(story, chance, told, n)
        if chance.random() < 0.2:
            await story.runner.settle()
    await story.runner.settle()
    return story


def _find(story: Story, chance: random.Random, told: list[tuple[str, str]], n: int) -> None:
    person = chance.choice(PEOPLE)
    kind = chance.random()
    photo = chance.randrange(PHOTOS)
    # Photos of one number are copies of each other, whoever is said to be on them.
    owner = PEOPLE[photo % len(PEOPLE)] if chance.random() < 0.8 else person
    url = f"photo:{photo}/of:{owner}/v{chance.randrange(3)}"
    if kind < 0.1:
        url = f"missing/{chance.randrange(20)}"
    elif kind < 0.2:
        url = f"hostile/{chance.randrange(20)}"
    elif kind < 0.25:
        url = f"photo:{photo}/of:/{chance.randrange(3)}"
    elif kind < 0.3:
        person = "nobody"
    told.append((person, url))
    headers = {"ce_id": f"find-{n}"} if n % 3 == 0 else {}
    story.runner.push(ImageFound(celebrity_id=person, source=chance.choice(("commons", "tmdb")), url=url), **headers)


def _push(story: Story, chance: random.Random, told: list[tuple[str, str]], n: int) -> None:
    person = chance.choice(PEOPLE)
    story.runner.push(PushCelebrity(name=f"Person {person}", wikidata=person))


def _rule(story: Story, chance: random.Random, told: list[tuple[str, str]], n: int) -> None:
    if told:
        person, url = chance.choice(told)
        decision = chance.choice(("keep", "reject"))
        ruling = RuleImage(item_id=item_id(person, url), celebrity_id=person, decision=decision, note=f"ruling {n}")
        story.runner.push(ruling)


def _forget(story: Story, chance: random.Random, told: list[tuple[str, str]], n: int) -> None:
    if chance.random() < 0.2:
        story.runner.push(ForgetCelebrity(celebrity_id=chance.choice(PEOPLE)))
