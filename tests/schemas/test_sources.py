"""What records say of where they come from."""

from __future__ import annotations

import msgspec
import pytest

from schemas.base import Record, Rejected
from schemas.catalogue import decode
from schemas.events import FactsObserved, ReviewObserved
from schemas.mentions import FilmMentioned
from schemas.pictures import ImageFound

SAID: dict[type[Record], dict[str, object]] = {
    ReviewObserved: {"film_id": "tt1375666", "source_record_id": "1", "text": "Fine."},
    FactsObserved: {"film_id": "tt1375666"},
    FilmMentioned: {"mention_id": "m", "source_record_id": "1"},
    ImageFound: {"celebrity_id": "Q1", "url": "http://h/1.jpg"},
}


@pytest.mark.parametrize("kind", SAID)
def test_a_source_with_a_zero_byte_is_refused_which_databases_take_for_another(kind: type[Record]) -> None:
    said = SAID[kind]
    assert isinstance(decode(msgspec.json.encode({**said, "source": "a\nb"}), (kind,)), kind)
    with pytest.raises(Rejected, match=r"\$\.source"):
        decode(msgspec.json.encode({**said, "source": "a\0b"}), (kind,))
