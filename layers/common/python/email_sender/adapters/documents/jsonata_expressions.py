"""Check expressions with jsonata-python: parse the source, then walk the tree to find the values that it reads.

The parser is imported with the first expression, so that only the function that stores workflows pays for the import.
"""

from collections.abc import Iterator
from typing import Any, Final

from email_sender.workflows.definition.document import did_you_mean
from email_sender.workflows.definition.expressions import VARIABLES, BadExpression, References

MAX_CHARACTERS = 8_000
_MAX_DEPTH = 200
_RESERVED: Final = VARIABLES | {"states"}

# The functions of JSONata 2.0.6, without $eval, which Step Functions does not support, plus those that it adds.
# fmt: off
FUNCTIONS: Final = frozenset({
    "abs", "append", "assert", "average", "base64decode", "base64encode", "boolean", "ceil", "contains", "count",
    "decodeUrl", "decodeUrlComponent", "distinct", "each", "encodeUrl", "encodeUrlComponent", "error", "exists",
    "filter", "floor", "formatBase", "formatInteger", "formatNumber", "fromMillis", "join", "keys", "length", "lookup",
    "lowercase", "map", "match", "max", "merge", "millis", "min", "not", "now", "number", "pad", "parseInteger",
    "power", "random", "reduce", "replace", "reverse", "round", "shuffle", "sift", "single", "sort", "split", "spread",
    "sqrt", "string", "substring", "substringAfter", "substringBefore", "sum", "toMillis", "trim", "type", "uppercase",
    "zip",
    "hash", "parse", "partition", "range", "uuid",
})
# fmt: on


class JsonataExpressions:
    """Implements workflows.definition.expressions.ExpressionChecker."""

    def check(self, source: str) -> References:
        if len(source) > MAX_CHARACTERS:
            raise BadExpression(f"has {len(source)} characters; the maximum is {MAX_CHARACTERS}")
        collector = _ReferenceCollector()
        try:
            collector.visit(_parse(source), frozenset(), context=False)
        except RecursionError:
            raise BadExpression("is nested too deeply") from None
        return References(frozenset(collector.roots), frozenset(collector.steps), collector.whole_steps)


def _parse(source: str) -> Any:
    from jsonata import jsonata
    from jsonata.jexception import JException

    try:
        return jsonata.Jsonata(source).ast
    except JException as error:
        raise BadExpression(f"is not valid JSONata: {error}", getattr(error, "location", None)) from error
    except RecursionError:
        raise
    except Exception as error:
        # jsonata-python lets some Python errors through, such as re.error for an invalid regular expression.
        raise BadExpression(f"is not valid JSONata: {error}") from error


type _Scope = frozenset[str]


class _ReferenceCollector:
    """Collects the variables and steps that an expression reads. `scope` has the names that the expression binds.

    `context` is true where a bare name has a meaning: inside a path, a filter or a transform. At the top level there is
    no input to read from, so `inputs.query` (with the dollar sign forgotten) would never have a value.
    """

    def __init__(self) -> None:
        self.roots: set[str] = set()
        self.steps: set[str] = set()
        self.whole_steps = False
        self._depth = 0

    def visit(self, node: Any, scope: _Scope, *, context: bool) -> _Scope:
        """Visit `node` and return the scope for the nodes that follow it."""
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise BadExpression("is nested too deeply")
        scope = self._visit(node, scope, context=context)
        self._depth -= 1
        return scope

    def _visit(self, node: Any, scope: _Scope, *, context: bool) -> _Scope:
        if isinstance(node, list | tuple):
            for child in node:
                self.visit(child, scope, context=context)
            return scope
        match getattr(node, "type", None):
            case None | "string" | "number" | "value" | "regex" | "operator" | "wildcard" | "descendant" | "parent":
                return scope
            case "path":
                self._path(node, scope, context=context)
            case "variable":
                self._variable(node, scope, context=context)
                self._visit_suffixes(node, scope)
            case "name":
                if not context:
                    hint = f"; did you mean ${node.value}?" if node.value in VARIABLES else ""
                    raise BadExpression(f"{node.value!r} does not refer to anything here{hint}", node.position)
                self._visit_suffixes(node, scope)
            case "bind":
                self._check_bindable(node.lhs)
                extended_scope = scope | {node.lhs.value}
                # A function can call itself by its own name.
                self.visit(node.rhs, extended_scope if _is_lambda(node.rhs) else scope, context=context)
                return extended_scope
            case "block":
                inner = scope
                for child in node.expressions:
                    inner = self.visit(child, inner, context=context)
                self._visit_suffixes(node, scope)
            case "lambda":
                for argument in node.arguments or ():
                    self._check_bindable(argument)
                inner = scope | {argument.value for argument in node.arguments or ()}
                self.visit(node.body, inner, context=context)
            case "function" | "partial":
                self.visit(node.procedure, scope, context=context)
                self.visit(node.arguments, scope, context=context)
                self._visit_suffixes(node, scope)
            case "condition":
                _reject_newer_operators(node)
                self.visit([node.condition, node.then, getattr(node, "_else", None)], scope, context=context)
                self._visit_suffixes(node, scope)
            case "transform":
                for part in ("pattern", "update", "delete"):
                    self.visit(getattr(node, part, None), scope, context=True)
            case _:
                for part in _CHILD_ATTRIBUTES:
                    self.visit(getattr(node, part, None), scope, context=context)
                self._visit_suffixes(node, scope)
        return scope

    def _path(self, node: Any, scope: _Scope, *, context: bool) -> None:
        first, *rest = node.steps
        if _is_variable(first, "steps") and "steps" not in scope:
            self.roots.add("steps")
            self._record_step(first, rest)
            scope = self._visit_suffixes(first, scope)
        else:
            scope = self.visit(first, scope, context=context) | _focus_scope(first)
        for step in rest:
            scope = self.visit(step, scope, context=True) | _focus_scope(step)
        self._visit_grouping(node, scope)

    def _record_step(self, first: Any, rest: list[Any]) -> None:
        if rest and getattr(rest[0], "type", None) == "name" and not getattr(first, "predicate", None):
            self.steps.add(str(rest[0].value))
        else:
            self.whole_steps = True

    def _variable(self, node: Any, scope: _Scope, *, context: bool) -> None:
        name = str(node.value)
        if name == "$" or (name == "" and not context):
            raise BadExpression(f"${name} does not refer to anything here", node.position)
        if name in scope or name == "":
            return
        if name == "states":
            raise BadExpression("$states is not available: use $inputs, $steps, $item or $run", node.position)
        if name == "eval":
            raise BadExpression("$eval is not allowed", node.position)
        if name in VARIABLES:
            self.roots.add(name)
            self.whole_steps |= name == "steps"
        elif name not in FUNCTIONS:
            hint = did_you_mean(name, VARIABLES | FUNCTIONS).replace("'", "")
            hint = hint.replace("you mean ", "you mean $") or "; known variables: $inputs, $steps, $item and $run"
            raise BadExpression(f"${name} does not exist{hint}", node.position)

    def _check_bindable(self, node: Any) -> None:
        if node.value in _RESERVED:
            raise BadExpression(f"${node.value} is reserved by the platform; choose another name", node.position)

    def _visit_suffixes(self, node: Any, scope: _Scope) -> _Scope:
        """Visit the filters, grouping and sorting of a node, which all read its value. Return the scope after them."""
        scope = scope | _focus_scope(node)
        for part in ("predicate", "stages"):
            for stage in getattr(node, part, None) or ():
                self.visit(getattr(stage, "expr", None), scope, context=True)
        for term in getattr(node, "terms", None) or ():
            self.visit(term.expression, scope, context=True)
        self._visit_grouping(node, scope)
        return scope

    def _visit_grouping(self, node: Any, scope: _Scope) -> None:
        for pair in getattr(getattr(node, "group", None), "lhs_object", None) or ():
            self.visit(pair, scope, context=True)


# The attributes that may hold child nodes, for node types without a rule of their own.
_CHILD_ATTRIBUTES: Final = ("lhs", "rhs", "expression", "expressions", "lhs_object", "rhs_object")


def _reject_newer_operators(node: Any) -> None:
    """Reject `a ?: b` and `a ?? b`, which came with JSONata 2.1, because Step Functions has JSONata 2.0.6.

    The parser turns them into a ? a : b, where both a have the same position in the source.
    """
    condition = node.condition
    if getattr(condition, "type", None) == "function" and getattr(condition.procedure, "value", None) == "exists":
        condition = (condition.arguments or [None])[0]
    if _position_of(node.then) is not None and _position_of(node.then) == _position_of(condition):
        raise BadExpression("Step Functions does not support ?: and ??; write a ? a : b instead", node.position)


def _position_of(node: Any) -> int | None:
    while steps := getattr(node, "steps", None):
        node = steps[0]
    return getattr(node, "position", None)


def _is_variable(node: Any, name: str) -> bool:
    return getattr(node, "type", None) == "variable" and node.value == name


def _is_lambda(node: Any) -> bool:
    return getattr(node, "type", None) == "lambda"


def _focus_scope(node: Any) -> _Scope:
    return frozenset(_focus_names(node))


def _focus_names(node: Any) -> Iterator[str]:
    for part in ("focus", "index"):
        if isinstance(name := getattr(node, part, None), str):
            yield name
    for stage in getattr(node, "stages", None) or ():
        if getattr(stage, "type", None) == "index" and isinstance(stage.value, str):
            yield stage.value
