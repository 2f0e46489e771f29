"""Tests for templates by untrusted authors: what they can do, and what the sandbox blocks."""

import sys
import time
from typing import Any

import pytest

from email_sender.adapters.mail.jinja_renderer import JinjaRenderer
from email_sender.errors import InvalidInput
from email_sender.kit.system_clock import new_id
from email_sender.messaging.model import Content, Template

VALUES: dict[str, Any] = {
    "contact": {"name": "Ann <b>", "email": "ann@example.org"},
    "items": ["a", "b"],
    "number": 3,
    "long": "x" * 10_000,
}


def render(text: str = "Text", subject: str = "Subject", html: str | None = None, **values: Any) -> Content:
    return JinjaRenderer().render(Template(new_id(), "t", 1, subject, text, html), {**VALUES, **values})


def test_a_template_is_filled_in() -> None:
    text = (
        "Dear {{ contact.name }},\n{% for i in items %}{{ loop.index }}. {{ i|upper }}\n{% endfor %}{{ number * 2 }}\n"
    )
    assert render(text).text == "Dear Ann <b>,\n1. A\n2. B\n6\n"


def test_html_is_escaped_and_text_is_not() -> None:
    content = render("{{ contact.name }}", "{{ contact.name }}", "<p>{{ contact.name }}</p>")
    assert (content.subject, content.text, content.html) == ("Ann <b>", "Ann <b>", "<p>Ann &lt;b&gt;</p>")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{{ nobody }}", "The template reads nobody, which has no value."),
        ("{{ contact.nothing }}", "The template reads contact.nothing, but contact has no nothing."),
        ("{{ contact.a.b }}", "The template reads contact.a, but contact has no a."),
        ("{{ items[7] }}", "The template reads items[7], but items has only 2 items."),
        ("{{ evidence[0].subject }}", "The template reads evidence[0], but evidence is empty."),
        ("{{ people[0].name }}", "The template reads people[0].name, but people[0] has no name."),
        ("{{ (items|sort)[2] }}", "The template reads a value[2], but a value has only 2 items."),
    ],
)
def test_a_missing_value_is_an_error_and_never_an_empty_string(source: str, message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        render(source, evidence=[], people=[{"email": "ann@example.org"}])
    assert caught.value.detail == message


@pytest.mark.parametrize("name", ["a\nb", "a\rBcc: eve@example.org", "a\r\nb"])
def test_a_subject_with_a_line_break_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="line break"):
        render(subject="Dear {{ name }}!", name=name)


@pytest.mark.parametrize("subject", ["", "   ", "{{ '' }}", "{% if false %}x{% endif %}"])
def test_an_empty_subject_is_refused(subject: str) -> None:
    with pytest.raises(InvalidInput, match="empty"):
        render(subject=subject)


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__ }}",
        "{{ ''['__class__'] }}",
        "{{ ''|attr('__class__') }}",
        "{{ ''|attr('_' ~ '_class_' ~ '_') }}",
        "{{ contact.__class__.__mro__[1].__subclasses__() }}",
        "{{ items.__init__.__globals__ }}",
        "{{ self.__init__ }}",
        "{{ self._TemplateReference__context }}",
        "{{ loop.__class__ }}",
        "{{ '{0.__class__}'.format(contact) }}",
        "{{ '{x.__class__}'.format_map({'x': contact}) }}",
        "{{ ['__class__']|map(attribute='__class__')|join }}",
        "{{ items|map('attr', '__class__')|join }}",
        "{{ items.append('x') }}",
        "{{ contact.update({'name': 'x'}) }}",
        "{{ contact.clear() }}",
        "{% include 'other' %}",
        "{% import 'other' as x %}",
        "{% extends 'other' %}",
        "{{ range(3)|list }}",
        "{{ lipsum() }}",
        "{{ cycler('a').next() }}",
        "{{ namespace(a=1) }}",
        "{{ 'a'|tojson }}",
        "{{ items|pprint }}",
    ],
)
def test_the_sandbox_blocks_escapes_and_values_stay_unchanged(source: str) -> None:
    values = {"contact": {"name": "Ann"}, "items": ["a"]}
    with pytest.raises(InvalidInput):
        JinjaRenderer().render(Template(new_id(), "t", 1, "s", source), values)
    assert values == {"contact": {"name": "Ann"}, "items": ["a"]}


@pytest.mark.parametrize(
    "source",
    [
        "{{ 'a' * 10**9 }}",
        "{{ 'a' * 1000000000 }}",
        "{{ [1] * 1000000000 }}",
        "{{ 9 ** 9 ** 9 }}",
        "{{ '%01000000000d' % 1 }}",
        "{{ 'a'|center(1000000000) }}",
        "{{ '%01000000000d'|format(1) }}",
        "{{ 'a'|indent(1000000000, true) }}",
        "{{ 'a'.center(1000000000) }}",
        "{{ 'a'.ljust(1000000000) }}",
        "{{ 'a'.rjust(1000000000)|length }}",
        "{{ '1'.zfill(1000000000) }}",
        "{{ '\t'.expandtabs(1000000000) }}",
        "{{ '{:1000000000}'.format(1) }}",
        "{{ [1]|batch(1000000000, 'x')|list|length }}",
        "{{ long|replace('x', long)|replace('x', long)|length }}",
        "{% set x = long %}" + "{% set x = x ~ x %}" * 20 + "{{ x|length }}",
        "{{ long.join(long)|length }}{{ long.replace('', long.join(long))|length }}",
        "{{ long }}" * 60,
    ],
)
def test_a_small_template_cannot_produce_huge_output(source: str) -> None:
    started = time.perf_counter()
    with pytest.raises(InvalidInput):
        render(source)
    assert time.perf_counter() - started < 8


@pytest.mark.parametrize(
    "source",
    [
        "{% for a in l %}{% for b in l %}{% for c in l %}{% endfor %}{% endfor %}{% endfor %}",
        "{% for a in l %}{% for b in l %}{% for c in l %}{{ '' }}{% endfor %}{% endfor %}{% endfor %}",
        "{% macro f(n) %}{{ f(n) }}{% endmacro %}{{ f(1) }}",
        "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}",
    ],
    ids=["loops that yield nothing", "loops that yield empty text", "recursion", "a tree of calls"],
)
def test_an_endless_template_is_stopped_after_about_a_second(source: str) -> None:
    started = time.perf_counter()
    with pytest.raises(InvalidInput):
        render(source, l=["x"] * 1000)
    assert time.perf_counter() - started < 8


def test_rendering_works_after_a_template_was_stopped() -> None:
    with pytest.raises(InvalidInput):
        render("{% macro f(n) %}{{ f(n) }}{% endmacro %}{{ f(1) }}")
    time.sleep(1.1)
    assert render("{{ contact.email }}").text == "ann@example.org"


@pytest.mark.parametrize("source", ["{{", "{% for %}", "{% if x %}", "{{ a b }}", "{% unknown %}", "{{ a|unknown }}"])
def test_a_syntax_error_is_reported_with_its_line(source: str) -> None:
    with pytest.raises(InvalidInput, match="line 2"):
        render("one\n" + source)


@pytest.mark.parametrize(
    "source",
    ["{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}", "{% if 1 %}" * 2000 + "{% endif %}" * 2000],
    ids=["parentheses", "blocks"],
)
def test_a_deeply_nested_template_is_refused_at_any_recursion_limit(source: str) -> None:
    original_limit = sys.getrecursionlimit()
    sys.setrecursionlimit(10_000)
    try:
        with pytest.raises(InvalidInput):
            JinjaRenderer().used_names(source)
        with pytest.raises(InvalidInput):
            render(source)
        assert sys.getrecursionlimit() == 10_000
    finally:
        sys.setrecursionlimit(original_limit)


def test_an_ordinarily_nested_template_is_accepted() -> None:
    assert render("{% if true %}" * 30 + "x" + "{% endif %}" * 30).text == "x"


def test_used_names_exclude_names_that_the_template_sets_itself() -> None:
    source = "{{ a.b }}{% set c = d %}{{ c }}{% for e in f %}{{ e }}{{ loop.index }}{% endfor %}{{ g|default('x') }}"
    assert JinjaRenderer().used_names(source) == {"a", "d", "f", "g"}


def test_a_template_over_its_limit_is_refused() -> None:
    with pytest.raises(InvalidInput, match="at most"):
        JinjaRenderer().used_names("x" * 100_001)
