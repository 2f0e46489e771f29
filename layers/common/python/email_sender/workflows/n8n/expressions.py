"""Translates n8n expressions into JSONata where the translation is exact (docs.n8n.io/code/expressions).

An expression is text that begins with "=", with JavaScript between `{{` and `}}`. The supported part of JavaScript is
the part that means the same in JSONata: paths, literals, comparisons, logic, arithmetic on values known to be numbers,
concatenation where one side is known to be a text, the conditional operator, and a few methods. Everything else raises
Untranslatable with the reason.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final


class Untranslatable(Exception):
    """An expression or node has no exact counterpart. The message says why."""


@dataclass(frozen=True, slots=True)
class Translation:
    """`source` is JSONata over $json; `notes` describe small differences from n8n."""

    source: str
    notes: tuple[str, ...] = ()


# Returns the JSONata of all items of an earlier node by its name in n8n, or None if no such node exists.
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
_LITERALS: Final[Mapping[str, str]] = {"true": "true", "false": "false", "null": "null", "undefined": "null"}
_MAX_TOKENS = 500


def translate(value: str, items_of: ItemsOf) -> Translation:
    """Translate a whole parameter: a literal, one expression, or text that contains expressions."""
    if not value.startswith("="):
        return Translation(json.dumps(value))
    parts = re.split(r"\{\{(.*?)\}\}", value[1:], flags=re.DOTALL)
    notes: list[str] = []
    if len(parts) == 3 and not parts[0].strip() and not parts[2].strip():
        return Translation(_Parser(parts[1], items_of, notes).parse().source, tuple(dict.fromkeys(notes)))
    joined_parts = []
    for index, part in enumerate(parts):
        if index % 2 == 0:
            if part:
                joined_parts.append(json.dumps(part))
        else:
            joined_parts.append(f"$string({_Parser(part, items_of, notes).parse().source})")
    return Translation(" & ".join(joined_parts) or '""', tuple(dict.fromkeys(notes)))


@dataclass(frozen=True, slots=True)
class _Value:
    """`kind` is "text", "number" or "truth" if it is known, else ""."""

    source: str
    kind: str = ""


class _Parser:
    def __init__(self, source: str, items_of: ItemsOf, notes: list[str]) -> None:
        self._tokens, self._items_of, self._notes = _tokenize(source), items_of, notes
        self._position = 0

    def parse(self) -> _Value:
        value = self._condition()
        if self._position < len(self._tokens):
            raise Untranslatable(f"{self._tokens[self._position][1]!r} is not supported here")
        return value

    def _peek(self) -> str:
        return self._tokens[self._position][1] if self._position < len(self._tokens) else ""

    def _consume(self, expected: str = "") -> tuple[str, str]:
        if self._position >= len(self._tokens):
            raise Untranslatable("the expression ends too early")
        kind, text = self._tokens[self._position]
        if expected and text != expected:
            raise Untranslatable(f"{expected!r} is expected instead of {text!r}")
        self._position += 1
        return kind, text

    def _condition(self) -> _Value:
        test = self._operation(1)
        if self._peek() != "?":
            return test
        self._consume("?")
        then_value = self._condition()
        self._consume(":")
        else_value = self._condition()
        return _Value(
            f"({_boolean_source(test)} ? {then_value.source} : {else_value.source})",
            then_value.kind if then_value.kind == else_value.kind else "",
        )

    def _operation(self, min_precedence: int) -> _Value:
        left = self._unary()
        while (sign := self._peek()) in _BINARY and _BINARY[sign][0] >= min_precedence:
            precedence, jsonata_operator = _BINARY[sign]
            self._consume()
            left = self._combine(left, sign, jsonata_operator, self._operation(precedence + 1))
        return left

    def _combine(self, left: _Value, sign: str, jsonata_operator: str, right: _Value) -> _Value:
        if sign in ("&&", "||"):
            # JavaScript returns one of the two operands, JSONata a boolean: the same only for two booleans.
            if left.kind != "truth" or right.kind != "truth":
                raise Untranslatable(f"the operands of {sign} must be known to be true or false")
            return _Value(f"({left.source} {jsonata_operator} {right.source})", "truth")
        if sign == "+":
            if "text" in (left.kind, right.kind):
                return _Value(f"({_text_source(left)} & {_text_source(right)})", "text")
            if left.kind != "number" or right.kind != "number":
                raise Untranslatable("the operands of + must be known to be texts or numbers")
        if jsonata_operator in ("=", "!="):
            if sign in ("==", "!="):
                self._notes.append("== is translated as ===")
            return _Value(f"({left.source} {jsonata_operator} {right.source})", "truth")
        return _Value(
            f"({left.source} {jsonata_operator} {right.source})",
            "truth" if jsonata_operator in ("<", ">", "<=", ">=") else "number",
        )

    def _unary(self) -> _Value:
        if self._peek() == "!":
            self._consume()
            return _Value(f"$not({_boolean_source(self._unary())})", "truth")
        if self._peek() == "-":
            self._consume()
            return _Value(f"(-{self._unary().source})", "number")
        return self._member_access(self._primary())

    def _primary(self) -> _Value:
        kind, text = self._consume()
        if kind == "number":
            return _Value(text, "number")
        if kind == "text":
            return _Value(json.dumps(_unquote(text)), "text")
        if kind == "template":
            return self._template(text)
        if text == "(":
            inner = self._condition()
            self._consume(")")
            return _Value(f"({inner.source})", inner.kind)
        if kind != "name":
            raise Untranslatable(f"{text!r} is not supported here")
        if text in _LITERALS:
            return _Value(_LITERALS[text], "truth" if text in ("true", "false") else "")
        if text == "$json":
            return _Value("$json")
        if text == "$input":
            return self._input()
        if text == "JSON":
            return self._json_text()
        if text in ("$", "$node"):
            return self._other_node(text)
        if text == "$now" or text == "$today":
            self._notes.append(f"{text} is a text in UTC (ISO 8601)")
            return _Value("$now()" if text == "$now" else "$substringBefore($now(), 'T')", "text")
        raise Untranslatable(f"{text} is not supported")

    def _template(self, text: str) -> _Value:
        """Translate `…${expression}…`. Its expressions must not contain braces."""
        parts = re.split(r"\$\{([^{}`]*)\}", text[1:-1])
        if any("${" in part for part in parts[::2]):
            raise Untranslatable("a template has braces inside its braces")
        self._notes.append("an object inside a text is written as JSON")
        joined_parts = [
            f"$string({_Parser(part, self._items_of, self._notes).parse().source})"
            if index % 2
            else json.dumps(_unquote(f"`{part}`"))
            for index, part in enumerate(parts)
            if index % 2 or part
        ]
        return _Value(f"({' & '.join(joined_parts)})", "text")

    def _json_text(self) -> _Value:
        """Translate JSON.stringify(value).

        $string returns a text unchanged and writes everything else as JSON, but inside an object it writes JSON always.
        """
        for word in (".", "stringify", "("):
            self._consume(word)
        value = self._condition()
        if self._peek() == ",":
            self._notes.append("JSON is written without spaces")
            while self._peek() in (",", "null") or self._tokens[self._position][0] == "number":
                self._consume()
        self._consume(")")
        return _Value(f"($text := $string({{'v': {value.source}}}); $substring($text, 5, $length($text) - 6))", "text")

    def _input(self) -> _Value:
        self._consume(".")
        word = self._consume()[1]
        if word in ("item", "first"):
            if word == "first":
                raise Untranslatable("$input.first() refers to another item")
            self._consume(".")
            self._consume("json")
            return _Value("$json")
        raise Untranslatable(f"$input.{word} is not supported")

    def _other_node(self, text: str) -> _Value:
        """Translate $('Name').item.json, $('Name').first().json and $node["Name"].json."""
        close = {"$": ")", "$node": "]"}[text]
        self._consume("(" if text == "$" else "[")
        kind, name = self._consume()
        self._consume(close)
        if kind != "text":
            raise Untranslatable("a node must be referred to by a literal name")
        items = self._items_of(_unquote(name))
        if items is None:
            raise Untranslatable(f"no node {_unquote(name)!r} precedes this one")
        self._consume(".")
        word = self._consume()[1]
        if text == "$":
            if word in ("first", "last"):
                self._consume("(")
                self._consume(")")
            elif word != "item":
                raise Untranslatable(f"$('…').{word} is not supported")
            self._consume(".")
            self._consume("json")
        elif word != "json":
            raise Untranslatable(f"$node[…].{word} is not supported")
        if word in ("item", "json"):
            self._notes.append(f"always uses the first item of {_unquote(name)!r}")
        # Through a variable: an index directly after a list constructor applies to each element of the list.
        return _Value(f"($of := {items}; $of[{-1 if word == 'last' else 0}])")

    def _member_access(self, value: _Value) -> _Value:
        while self._peek() in (".", "?.", "["):
            sign = self._consume()[1]
            if sign == "[":
                value = self._index(value)
                continue
            kind, name = self._consume()
            if kind != "name":
                raise Untranslatable(f"{name!r} is not supported after a dot")
            if self._peek() == "(":
                value = self._method(value, name)
            elif name == "length":
                raise Untranslatable(".length is not supported: the value may be a text or a list")
            else:
                value = _Value(f"{value.source}.{_quote_field(name)}")
        return value

    def _index(self, value: _Value) -> _Value:
        kind, text = self._consume()
        self._consume("]")
        if kind == "text":
            return _Value(f"{value.source}.{_quote_field(_unquote(text))}")
        if kind == "number" and text.isdigit():
            return _Value(f"{value.source}[{text}]")
        raise Untranslatable("an index must be a literal number or text")

    def _method(self, value: _Value, name: str) -> _Value:
        self._consume("(")
        if name == "includes":
            argument = self._condition()
            self._consume(")")
            if argument.kind != "text" or value.kind != "text":
                raise Untranslatable(".includes() is not supported here: the value may be a text or a list")
            return _Value(f"$contains({value.source}, {argument.source})", "truth")
        self._consume(")")
        if name == "toISO" and value.source == "$now()":
            return value
        if name not in _METHODS:
            raise Untranslatable(f".{name}() is not supported")
        return _Value(f"{_METHODS[name]}({value.source})", "text")


def _tokenize(source: str) -> list[tuple[str, str]]:
    tokens: list[tuple[str, str]] = []
    position, source = 0, source.strip()
    while position < len(source):
        match = _TOKENS.match(source, position)
        if match is None or match.end() == position:
            raise Untranslatable(f"{source[position : position + 20]!r} is not supported")
        kind = match.lastgroup or ""
        tokens.append((kind, match.group(kind)))
        position = match.end()
        if len(tokens) > _MAX_TOKENS:
            raise Untranslatable("the expression is too long")
    if not tokens:
        raise Untranslatable("the expression is empty")
    return tokens


def _unquote(text: str) -> str:
    """Decode a JavaScript string literal. Raise Untranslatable for an escape that JSON does not have."""
    inner = re.sub(r"\\(['`])", r"\1", text[1:-1])
    if text[0] != '"':
        inner = re.sub(r'(?<!\\)"', lambda _: '\\"', inner)
    try:
        return str(json.loads(f'"{inner}"', strict=False))
    except ValueError:
        raise Untranslatable(f"the text {text[:40]} has an unknown escape") from None


def _quote_field(name: str) -> str:
    if "`" in name:
        raise Untranslatable("a field name contains a backtick")
    return f"`{name}`"


def _boolean_source(value: _Value) -> str:
    if value.kind != "truth":
        raise Untranslatable("a condition must be known to be true or false")
    return value.source


def _text_source(value: _Value) -> str:
    return value.source if value.kind == "text" else f"$string({value.source})"
