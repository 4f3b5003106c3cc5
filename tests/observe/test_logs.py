"""Logs: one JSON object a line, and libraries that do not repeat themselves."""

from __future__ import annotations

import json
import logging
import logging.config
import sys

from app.observe.logs import JsonFormatter, NotAgain, logging_config


def record(name: str, message: str, *args: object) -> logging.LogRecord:
    return logging.LogRecord(name, logging.ERROR, __file__, 1, message, args, None)


def test_a_line_break_in_a_message_cannot_forge_a_second_record() -> None:
    line = JsonFormatter().format(record("app", "title is %s", 'x"}\n{"level": "info"'))
    assert "\n" not in line
    assert json.loads(line)["message"] == 'title is x"}\n{"level": "info"'


def test_an_exception_is_part_of_its_record() -> None:
    try:
        raise ValueError("no")
    except ValueError:
        failed = logging.LogRecord("app", logging.ERROR, __file__, 1, "failed", (), sys.exc_info())
    assert "ValueError: no" in json.loads(JsonFormatter().format(failed))["exception"]


def test_a_library_says_the_same_thing_once_in_ten_seconds() -> None:
    now = [0.0]
    not_again = NotAgain(clock=lambda: now[0])
    said = [not_again.filter(record("aiokafka.conn", "no node %d", n)) for n in range(5)]
    assert said == [True, False, False, False, False]
    now[0] = 10.0
    assert not_again.filter(record("aiokafka.conn", "no node %d", 9))


def test_marquees_own_words_are_never_held_back() -> None:
    not_again = NotAgain(clock=lambda: 0.0)
    assert all(not_again.filter(record("app.delivery", "a dead letter")) for _ in range(5))


def test_the_configuration_is_one_that_python_takes() -> None:
    logging.config.dictConfig(logging_config("json", "WARNING"))
    assert logging.getLogger().level == logging.WARNING
