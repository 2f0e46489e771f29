"""Tests for the understanding of questions: language, first person, times."""

import time
from datetime import UTC, date, datetime

import pytest

from email_sender.archive.search.first_person import first_person
from email_sender.archive.search.languages import is_english
from email_sender.archive.search.periods import find_period
from email_sender.archive.search.question import understand

TODAY = date(2026, 11, 28)


@pytest.mark.parametrize(
    ("question", "statement"),
    [
        ("Who wants to sell a car?", "I want to sell a car"),
        ("who is looking for a flat in town", "I am looking for a flat in town"),
        ("Someone whose printer has stopped", "my printer has stopped"),
        ("People who package RPMs and hit dependency problems", "I package RPMs and hit dependency problems"),
        ("Somebody who has a shop and wants to sell it.", "I have a shop and want to sell it"),
        ("Owner of an old car who wants to sell it", "I have an old car and I want to sell it"),
        (
            "An administrator who has to link offices and asks which way is best",
            "I am an administrator. I have to link offices and ask which way is best",
        ),
        ("A bank whose servers fail", "I am a bank. My servers fail"),
        ("The IT department of a school", "I am the IT department of a school"),
        ("Users complaining about late trains", "I am complaining about late trains"),
        ("Which customers complain about late parcels?", "I complain about late parcels"),
        ("Find everyone who has lost his keys", "I have lost my keys"),
        ("Please show me all people who were hacked", "I was hacked"),
        ("Who teaches and fixes bikes?", "I teach and fix bikes"),
        ("Who carries parcels he packed himself?", "I carry parcels I packed myself"),
        ("NASA engineers who build rockets", "I am NASA engineers. I build rockets"),
        # No question about somebody: unchanged.
        ("broken RPM dependencies", "broken RPM dependencies"),
        ("gcc-3.2 fails", "gcc-3.2 fails"),
        ("What is the price of that car?", "What is the price of that car"),
        ("I want to sell my car that works", "I want to sell my car that works"),
        ("how do I fix a problem that occurs", "how do I fix a problem that occurs"),
        ("A loan", "A loan"),
        ("Who doesn't have a car?", "I don't have a car"),
        ("Who lies?", "I lie"),
        ("Who complains, today?", "I complain, today"),
        ("", ""),
        ("?", ""),
    ],
)
def test_a_question_about_somebody_becomes_that_persons_statement(question: str, statement: str) -> None:
    assert first_person(question) == statement


@pytest.mark.parametrize(
    ("text", "english"),
    [
        ("Who cannot print?", True),
        ("Linux", True),
        ("", True),
        ("gcc-3.2 x86_64", True),
        ("Wer sucht eine Wohnung in der Stadt?", False),
        ("Jemand, der einen Dienst sucht", False),
        ("Quelqu'un qui cherche un plombier", False),
        ("Alguien que no logra arrancar su filtro", False),
        ("Qualcuno che ha perso le chiavi", False),
        ("Quem não consegue imprimir?", False),
        ("Wie zoekt een huis in de stad?", False),
        ("Кто не может печатать?", False),
        ("誰が印刷できませんか", False),
    ],
)
def test_a_language_is_told_from_english_by_its_small_words(text: str, english: bool) -> None:
    assert is_english(text) is english


@pytest.mark.parametrize(
    ("question", "since", "until", "is_required", "rest"),
    [
        ("In October 2002, who left?", "2002-10-01", "2002-10-31", True, "who left?"),
        ("At the end of August 2002: who left?", "2002-08-20", "2002-08-31", True, "who left?"),
        ("Early in May 2003, who left?", None, None, None, None),
        ("Early May 2003: who left?", "2003-05-01", "2003-05-10", True, "who left?"),
        ("Mid-June 2003, who left?", "2003-06-10", "2003-06-20", True, "who left?"),
        ("In 2002, who left?", "2002-01-01", "2002-12-31", True, "who left?"),
        ("Since March 2004, who left?", "2004-03-01", None, True, "who left?"),
        ("After March 2004, who left?", "2004-04-01", None, True, "who left?"),
        ("Before 2004, who left?", None, "2003-12-31", True, "who left?"),
        # A month without a year is the last one that has begun.
        ("In October: who left?", "2026-10-01", "2026-10-31", True, "who left?"),
        ("In December: who left?", "2025-12-01", "2025-12-31", True, "who left?"),
        ("Anfang März 2004: wer sucht?", "2004-03-01", "2004-03-10", True, "wer sucht?"),
        ("En décembre 2002, qui cherche ?", "2002-12-01", "2002-12-31", True, "qui cherche ?"),
        ("Last week, who left?", "2026-11-16", "2026-11-22", True, "who left?"),
        ("In the last week, who left?", "2026-11-21", "2026-11-28", True, "who left?"),
        ("Last month: who left?", "2026-10-01", "2026-10-31", True, "who left?"),
        ("Last year who left?", "2025-01-01", "2025-12-31", True, "who left?"),
        ("This year, who left?", "2026-01-01", "2026-11-28", True, "who left?"),
        ("In October, 2002, who left?", "2002-10-01", "2002-10-31", True, "who left?"),
        ("In May 2003 who left?", "2003-05-01", "2003-05-31", True, "who left?"),
        ("On 12 May 2003, who left?", "2003-05-12", "2003-05-12", True, "who left?"),
        ("Am 3. Mai 2003: wer ging?", "2003-05-03", "2003-05-03", True, "wer ging?"),
        ("On 31 June 2003, who left?", None, None, None, None),
        ("In February 2004, who left?", "2004-02-01", "2004-02-29", True, "who left?"),
        ("Until the end of May 2003, who left?", None, "2003-05-31", True, "who left?"),
        ("Yesterday: who left?", "2026-11-27", "2026-11-27", True, "who left?"),
        # At the end, the time may be part of the matter.
        ("Who wants a room in May 2003?", "2003-05-01", "2003-05-31", False, "Who wants a room"),
        ("Who left in the last 3 days?", "2026-11-25", "2026-11-28", False, "Who left"),
        # No times.
        ("Who may help?", None, None, None, None),
        ("Who uses Windows 2000?", None, None, None, None),
        ("March 2002", None, None, None, None),
        ("Who wrote before last year?", None, None, None, None),
        ("Who wants to meet at 2000?", None, None, None, None),
        ("", None, None, None, None),
    ],
)
def test_a_time_is_found(
    question: str,
    since: str | None,
    until: str | None,
    is_required: bool | None,
    rest: str | None,
) -> None:
    period, remaining = find_period(question, TODAY)
    if rest is None:
        assert period is None
        assert remaining == question
        return
    assert period is not None
    assert [day and day.isoformat() for day in period.days] == [since, until]
    assert period.is_required is is_required
    assert remaining == rest


def test_a_period_includes_the_clocks_of_all_time_zones() -> None:
    period, _ = find_period("In October 2002, who left?", TODAY)
    assert period is not None
    assert period.since == datetime(2002, 9, 30, 10, tzinfo=UTC)
    assert period.until == datetime(2002, 11, 1, 14, tzinfo=UTC)


def test_a_required_time_is_not_part_of_the_statement_and_a_wish_is() -> None:
    now = datetime(2026, 11, 28, tzinfo=UTC)
    assert understand("In May 2003, who wants a room?", now).statement == "I want a room"
    assert understand("Who wants a room in May 2003?", now).statement == "I want a room in May 2003"
    assert understand("Im Mai 2003: wer sucht ein Zimmer?", now).statement == "wer sucht ein Zimmer?"


@pytest.mark.parametrize(
    "part", ["who ", "a ", "and ", " ", "\n", "1", "in ", "last ", "who x" + " " * 4_000, "May ", "the end of "]
)
def test_a_long_text_takes_no_long_time(part: str) -> None:
    started = time.thread_time()
    understand((part * 8_000)[:100_000] + "y", datetime(2026, 11, 28, tzinfo=UTC))
    find_period((part * 8_000)[:20_000] + "y", TODAY)
    assert time.thread_time() - started < 10
