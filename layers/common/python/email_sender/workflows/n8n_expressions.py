"""n8n's expressions as JSONata, where that is exact (docs.n8n.io/code/expressions).

An expression is text that begins with "=", with JavaScript between `{{` and `}}`. Of JavaScript the part is read whose
meaning JSONata shares: paths, literals, comparisons, logic, arithmetic on what is plainly a number, joining where one
side is plainly a text, a conditional, and a few methods. Anything else is Untranslatable, with the reason.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final


class Untranslatable(Exception):
    """Why there is no JSONata that means the same."""


@dataclass(frozen=True, slots=True)
class Translated:
    """`source` is JSONata over $json; `notes` tell what is nearly but not wholly the same."""

    source: str
    notes: tuple[str, ...] = ()


# The JSONata of all the items that a node gave, by the node's name in n8n.
type ItemsOf = Callable[[str], str | None]

_TOKENS = re.compile(
    r"""\s*(?:(?P<number>\d+(?:\.\d+)?)|(?P<text>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\$]|\\.)*`)"""
    r"""|(?P<template>`(?:[^`\\]|\\.)*`)"""
    r"""|(?P<name>[A-Za-z_$][\w$]*)|(?P<sign>===|!==|==|!=|<=|>=|&&|\|\||\?\.|[-+*/%<>!?:.,()\[\]]))""",
)
_BINARY: Final[Mapping[str, tuple[int, str]]] = {
    "||": (1, "or"), "&&": (2, "and"),
    "===": (3, "="), "==": (3, "="), "!==": (3, "!="), "!=": (3, "!="),
    "<": (4, "<"), ">": (4, ">"), "<=": (4, "<="), ">=": (4, ">="),
    "+": (5, "+"), "-": (5, "-"), "*": (6, "*"), "/": (6, "/"), "%": (6, "%"),
}  # fmt: skip
_METHODS: Final[Mapping[str, str]] = {
    "toLowerCase": "$lowercase", "toUpperCase": "$uppercase", "trim": "$trim", "toString": "$string",
}  # fmt: skip
_WORDS: Final[Mapping[str, str]] = {"true": "true", "false": "false", "null": "null", "undefined": "null"}
_MAX_TOKENS = 500


def translate(value: str, items_of: ItemsOf) -> Translated:
    """The whole parameter: a literal, one expression, or text with expressions in it."""
    if not value.startswith("="):
        return Translated(json.dumps(value))
    parts = re.split(r"\{\{(.*?)\}\}", value[1:], flags=re.DOTALL)
    notes: list[str] = []
    if len(parts) == 3 and not parts[0].strip() and not parts[2].strip():
        return Translated(_Parser(parts[1], items_of, notes).whole().source, tuple(dict.fromkeys(notes)))
    joined = []
    for place, part in enumerate(parts):
        if place % 2 == 0:
            if part:
                joined.append(json.dumps(part))
        else:
            joined.append(f"$string({_Parser(part, items_of, notes).whole().source})")
    return Translated(" & ".join(joined) or '""', tuple(dict.fromkeys(notes)))


@dataclass(frozen=True, slots=True)
class _Value:
    """`kind` is "text", "number", "truth" where that is plain, else ""."""

    source: str
    kind: str = ""


class _Parser:
    def __init__(self, source: str, items_of: ItemsOf, notes: list[str]) -> None:
        self._tokens, self._items_of, self._notes = _tokens(source), items_of, notes
        self._at = 0

    def whole(self) -> _Value:
        value = self._condition()
        if self._at < len(self._tokens):
            raise Untranslatable(f"{self._tokens[self._at][1]!r} is not understood here")
        return value

    def _peek(self) -> str:
        return self._tokens[self._at][1] if self._at < len(self._tokens) else ""

    def _take(self, wanted: str = "") -> tuple[str, str]:
        if self._at >= len(self._tokens):
            raise Untranslatable("the expression ends too early")
        kind, text = self._tokens[self._at]
        if wanted and text != wanted:
            raise Untranslatable(f"{wanted!r} is expected where {text!r} is")
        self._at += 1
        return kind, text

    def _condition(self) -> _Value:
        test = self._operation(1)
        if self._peek() != "?":
            return test
        self._take("?")
        then = self._condition()
        self._take(":")
        other = self._condition()
        return _Value(
            f"({_truth(test)} ? {then.source} : {other.source})", then.kind if then.kind == other.kind else ""
        )

    def _operation(self, least: int) -> _Value:
        left = self._unary()
        while (sign := self._peek()) in _BINARY and _BINARY[sign][0] >= least:
            strength, wanted = _BINARY[sign]
            self._take()
            left = self._joined(left, sign, wanted, self._operation(strength + 1))
        return left

    def _joined(self, left: _Value, sign: str, wanted: str, right: _Value) -> _Value:
        if sign in ("&&", "||"):
            # JavaScript gives one of the two; only as a truth is that the same.
            if left.kind != "truth" or right.kind != "truth":
                raise Untranslatable(f"{sign} of what is not plainly true or false")
            return _Value(f"({left.source} {wanted} {right.source})", "truth")
        if sign == "+":
            if "text" in (left.kind, right.kind):
                return _Value(f"({_text(left)} & {_text(right)})", "text")
            if left.kind != "number" or right.kind != "number":
                raise Untranslatable("+ of what is not plainly a text or a number")
        if wanted in ("=", "!="):
            if sign in ("==", "!="):
                self._notes.append("== compares as === does")
            return _Value(f"({left.source} {wanted} {right.source})", "truth")
        return _Value(
            f"({left.source} {wanted} {right.source})", "truth" if wanted in ("<", ">", "<=", ">=") else "number"
        )

    def _unary(self) -> _Value:
        if self._peek() == "!":
            self._take()
            return _Value(f"$not({_truth(self._unary())})", "truth")
        if self._peek() == "-":
            self._take()
            return _Value(f"(-{self._unary().source})", "number")
        return self._tail(self._primary())

    def _primary(self) -> _Value:
        kind, text = self._take()
        if kind == "number":
            return _Value(text, "number")
        if kind == "text":
            return _Value(json.dumps(_unquoted(text)), "text")
        if kind == "template":
            return self._template(text)
        if text == "(":
            inner = self._condition()
            self._take(")")
            return _Value(f"({inner.source})", inner.kind)
        if kind != "name":
            raise Untranslatable(f"{text!r} is not understood here")
        if text in _WORDS:
            return _Value(_WORDS[text], "truth" if text in ("true", "false") else "")
        if text == "$json":
            return _Value("$json")
        if text == "$input":
            return self._input()
        if text == "JSON":
            return self._json_text()
        if text in ("$", "$node"):
            return self._other_node(text)
        if text == "$now" or text == "$today":
            self._notes.append(f"{text} is the time in UTC as text (ISO 8601)")
            return _Value("$now()" if text == "$now" else "$substringBefore($now(), 'T')", "text")
        raise Untranslatable(f"{text} is not known")

    def _template(self, text: str) -> _Value:
        """`…${expression}…`: expressions without braces of their own."""
        parts = re.split(r"\$\{([^{}`]*)\}", text[1:-1])
        if any("${" in part for part in parts[::2]):
            raise Untranslatable("a template with braces inside its braces")
        self._notes.append("an object inside a text is written as JSON")
        joined = [
            f"$string({_Parser(part, self._items_of, self._notes).whole().source})"
            if place % 2
            else json.dumps(_unquoted(f"`{part}`"))
            for place, part in enumerate(parts)
            if place % 2 or part
        ]
        return _Value(f"({' & '.join(joined)})", "text")

    def _json_text(self) -> _Value:
        """JSON.stringify(value). JSONata writes a text as it is and all else as JSON: inside an object, all is JSON."""
        for word in (".", "stringify", "("):
            self._take(word)
        value = self._condition()
        if self._peek() == ",":
            self._notes.append("JSON is written without spaces")
            while self._peek() in (",", "null") or self._tokens[self._at][0] == "number":
                self._take()
        self._take(")")
        return _Value(f"($text := $string({{'v': {value.source}}}); $substring($text, 5, $length($text) - 6))", "text")

    def _input(self) -> _Value:
        self._take(".")
        word = self._take()[1]
        if word in ("item", "first"):
            if word == "first":
                raise Untranslatable("$input.first() reaches beyond the item")
            self._take(".")
            self._take("json")
            return _Value("$json")
        raise Untranslatable(f"$input.{word} is not known")

    def _other_node(self, text: str) -> _Value:
        """$('Name').item.json, .first().json, $node["Name"].json."""
        close = {"$": ")", "$node": "]"}[text]
        self._take("(" if text == "$" else "[")
        kind, name = self._take()
        self._take(close)
        if kind != "text":
            raise Untranslatable("a node is named by a text")
        items = self._items_of(_unquoted(name))
        if items is None:
            raise Untranslatable(f"there is no node {_unquoted(name)!r} before this one")
        self._take(".")
        word = self._take()[1]
        if text == "$":
            if word in ("first", "last"):
                self._take("(")
                self._take(")")
            elif word != "item":
                raise Untranslatable(f"$('…').{word} is not known")
            self._take(".")
            self._take("json")
        elif word != "json":
            raise Untranslatable(f"$node[…].{word} is not known")
        if word in ("item", "json"):
            self._notes.append(f"of {_unquoted(name)!r} the first item is taken, whichever item this is")
        # By a name: an index behind a list that is written out asks each of its parts.
        return _Value(f"($of := {items}; $of[{-1 if word == 'last' else 0}])")

    def _tail(self, value: _Value) -> _Value:
        while self._peek() in (".", "?.", "["):
            sign = self._take()[1]
            if sign == "[":
                value = self._index(value)
                continue
            kind, name = self._take()
            if kind != "name":
                raise Untranslatable(f"{name!r} is not understood after a dot")
            if self._peek() == "(":
                value = self._method(value, name)
            elif name == "length":
                raise Untranslatable(".length of what may be a text or a list")
            else:
                value = _Value(f"{value.source}.{_field(name)}")
        return value

    def _index(self, value: _Value) -> _Value:
        kind, text = self._take()
        self._take("]")
        if kind == "text":
            return _Value(f"{value.source}.{_field(_unquoted(text))}")
        if kind == "number" and text.isdigit():
            return _Value(f"{value.source}[{text}]")
        raise Untranslatable("an index that is computed")

    def _method(self, value: _Value, name: str) -> _Value:
        self._take("(")
        if name == "includes":
            argument = self._condition()
            self._take(")")
            if argument.kind != "text" or value.kind != "text":
                raise Untranslatable(".includes() of what may be a text or a list")
            return _Value(f"$contains({value.source}, {argument.source})", "truth")
        self._take(")")
        if name == "toISO" and value.source == "$now()":
            return value
        if name not in _METHODS:
            raise Untranslatable(f".{name}() is not known")
        return _Value(f"{_METHODS[name]}({value.source})", "text")


def _tokens(source: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    at, source = 0, source.strip()
    while at < len(source):
        match = _TOKENS.match(source, at)
        if match is None or match.end() == at:
            raise Untranslatable(f"{source[at : at + 20]!r} is not understood")
        kind = match.lastgroup or ""
        found.append((kind, match.group(kind)))
        at = match.end()
        if len(found) > _MAX_TOKENS:
            raise Untranslatable("it is too long")
    if not found:
        raise Untranslatable("it is empty")
    return found


def _unquoted(text: str) -> str:
    """JavaScript's escapes that JSON has too; others are refused rather than guessed."""
    inner = re.sub(r"\\(['`])", r"\1", text[1:-1])
    if text[0] != '"':
        inner = re.sub(r'(?<!\\)"', lambda _: '\\"', inner)
    try:
        return str(json.loads(f'"{inner}"', strict=False))
    except ValueError:
        raise Untranslatable(f"the text {text[:40]} has an escape that is not known") from None


def _field(name: str) -> str:
    if "`" in name:
        raise Untranslatable("a name with a backtick in it")
    return f"`{name}`"


def _truth(value: _Value) -> str:
    if value.kind != "truth":
        raise Untranslatable("what is not plainly true or false, as a condition")
    return value.source


def _text(value: _Value) -> str:
    return value.source if value.kind == "text" else f"$string({value.source})"
