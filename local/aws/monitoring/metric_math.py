"""CloudWatch's metric math, as far as the platform's alarms and dashboards use it.

The language: docs.aws.amazon.com/cloudwatch, "Using math expressions with CloudWatch metrics", "Search expressions",
and "Metrics Insights query components". Whatever it does not know raises UnknownExpression: no alarm may be silently
wrong.
"""

import ast
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from local.aws.monitoring.points import Points, Values, Window, summarize

type Results = Callable[[str], dict[str, Values]]
"""Returns the series of a query by its id."""
type Query = Mapping[str, Any]
"""A member of `Metrics` of an alarm, or of the `metrics` of a widget: `Id` and `MetricStat` or `Expression`."""

_SEARCH = re.compile(
    r"^SEARCH\('\{(?P<schema>[^}]*)\}(?P<terms>[^']*)', ?"
    r"'(?P<statistic>\w+)'(?:, ?(?P<period>\d+))?\)$"
)
_SELECT = re.compile(
    r"^SELECT (?P<statistic>MIN|MAX|AVG|SUM|COUNT)\((?P<name>[\w.]+)\) "
    r'FROM SCHEMA\("(?P<namespace>[^"]+)"(?P<dimensions>(?:, ?\w+)*)\)(?: GROUP BY (?P<group>\w+))?$'
)
_INSIGHTS = {"MIN": "Minimum", "MAX": "Maximum", "AVG": "Average", "SUM": "Sum", "COUNT": "SampleCount"}
_COMPARISONS: Mapping[type[ast.cmpop], Callable[[float, float], bool]] = {
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge,
    ast.Eq: operator.eq, ast.NotEq: operator.ne,
}  # fmt: skip
_ARITHMETIC: Mapping[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
}  # fmt: skip
_AGGREGATES: Mapping[str, Callable[[list[float]], float]] = {
    "MAX": max, "MIN": min, "SUM": sum, "AVG": lambda values: sum(values) / len(values),
}  # fmt: skip


class UnknownExpression(ValueError):
    """The expression uses something that this module does not know."""


def evaluate(queries: Sequence[Query], points: Points, window: Window) -> dict[str, dict[str, Values]]:
    """Return the series of every query by its id: values by the series' label."""
    by_id = {query["Id"]: query for query in queries}
    metric_ids = [query["Id"] for query in queries if "MetricStat" in query]
    results: dict[str, dict[str, Values]] = {}

    def result_of(query_id: str) -> dict[str, Values]:
        if query_id not in results:
            if query_id not in by_id:
                raise UnknownExpression(f"There is no metric {query_id}.")
            results[query_id] = _evaluate_query(by_id[query_id], points, window, result_of, metric_ids)
        return results[query_id]

    return {query_id: result_of(query_id) for query_id in by_id}


def _evaluate_query(
    query: Query,
    points: Points,
    window: Window,
    result_of: Callable[[str], dict[str, Values]],
    metric_ids: Sequence[str],
) -> dict[str, Values]:
    if "MetricStat" in query:
        stat = query["MetricStat"]
        metric = stat["Metric"]
        dimensions = {dimension["Name"]: dimension["Value"] for dimension in metric.get("Dimensions") or []}
        metric_points = points.of(metric["Namespace"], metric["MetricName"], dimensions, window.start)
        return {query["Id"]: summarize(metric_points, window, stat["Stat"])}
    expression = query["Expression"].strip()
    if match := _SEARCH.match(expression):
        return _search(match, points, window)
    if match := _SELECT.match(expression):
        return _select(match, points, window)
    return {query["Id"]: _Calculation(result_of, metric_ids, window).run(expression)}


def _search(match: re.Match[str], points: Points, window: Window) -> dict[str, Values]:
    namespace, *dimension_names = [part.strip() for part in match["schema"].split(",")]
    terms = re.fullmatch(r' ?MetricName="?([\w.]+)"?', match["terms"])
    if terms is None:
        raise UnknownExpression(f"The search has other terms than a metric's name: {match['terms']}")
    found: dict[str, Values] = {}
    for dimensions in points.dimensions_of(namespace, terms[1]):
        if set(dimensions) == set(dimension_names):
            label = " ".join(dimensions[name] for name in dimension_names)
            found[label] = summarize(
                points.of(namespace, terms[1], dimensions, window.start), window, match["statistic"]
            )
    return found


def _select(match: re.Match[str], points: Points, window: Window) -> dict[str, Values]:
    names = {name.strip() for name in match["dimensions"].split(",") if name.strip()}
    groups: dict[str, list[Any]] = {}
    for dimensions in points.dimensions_of(match["namespace"], match["name"]):
        if set(dimensions) == names:
            label = dimensions[match["group"]] if match["group"] else match["name"]
            groups.setdefault(label, []).extend(points.of(match["namespace"], match["name"], dimensions, window.start))
    statistic = _INSIGHTS[match["statistic"]]
    return {label: summarize(group, window, statistic) for label, group in groups.items()}


class _Calculation:
    """Arithmetic on series: period by period, and no value where an operand has none."""

    def __init__(self, result_of: Results, metric_ids: Sequence[str], window: Window) -> None:
        self._result_of, self._metric_ids, self._window = result_of, metric_ids, window

    def run(self, expression: str) -> Values:
        text = re.sub(r"\bAND\b|&&", " and ", re.sub(r"\bOR\b|\|\|", " or ", expression))
        try:
            tree = ast.parse(text.strip(), mode="eval")
        except SyntaxError as error:
            raise UnknownExpression(f"{expression} cannot be read: {error}") from error
        return self._series(tree.body)

    def _series(self, node: ast.expr) -> Values:
        match node:
            case ast.Constant(value=int() | float() as number):
                return [float(number)] * self._window.count
            case ast.Name(id=name):
                series = list(self._result_of(name).values())
                if len(series) > 1:
                    raise UnknownExpression(f"{name} is more than one series.")
                return series[0] if series else [None] * self._window.count
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
                return _combine(_quotient(_ARITHMETIC[type(op)]), self._series(left), self._series(right))
            case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _COMPARISONS:
                compare = _COMPARISONS[type(op)]
                return _combine(lambda a, b: float(compare(a, b)), self._series(left), self._series(right))
            case ast.BoolOp(op=op, values=values):
                decide = all if isinstance(op, ast.And) else any
                return _combine(lambda *flags: float(decide(flags)), *(self._series(value) for value in values))
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return _combine(operator.neg, self._series(operand))
            case ast.Call(func=ast.Name(id=name), args=arguments):
                return self._call(name, arguments)
        raise UnknownExpression(f"{ast.unparse(node)} is not known here.")

    def _call(self, name: str, arguments: Sequence[ast.expr]) -> Values:
        if name == "IF" and len(arguments) == 3:
            condition, if_true, if_false = (self._series(argument) for argument in arguments)
            return [
                None if decision is None else (true if decision else false)
                for decision, true, false in zip(condition, if_true, if_false, strict=True)
            ]
        if name == "FILL" and len(arguments) == 2:
            series, filler = (self._series(argument) for argument in arguments)
            return [fill if value is None else value for value, fill in zip(series, filler, strict=True)]
        if name in _AGGREGATES and len(arguments) == 1:
            columns = zip(*self._list(arguments[0]), strict=True)
            present = [[value for value in column if value is not None] for column in columns]
            # No series at all has no value in any period.
            return [_AGGREGATES[name](values) if values else None for values in present] or [None] * self._window.count
        raise UnknownExpression(f"The function {name} with {len(arguments)} arguments is not known here.")

    def _list(self, node: ast.expr) -> Sequence[Values]:
        match node:
            case ast.Call(func=ast.Name(id="METRICS"), args=arguments):
                part = arguments[0].value if arguments and isinstance(arguments[0], ast.Constant) else ""
                ids = [metric_id for metric_id in self._metric_ids if str(part) in metric_id]
                return [series for metric_id in ids for series in self._result_of(metric_id).values()]
            case ast.List(elts=elements):
                return [self._series(element) for element in elements]
            case ast.Name(id=name):
                return list(self._result_of(name).values())
        raise UnknownExpression(f"{ast.unparse(node)} is no list of metrics.")


def _combine(calculate: Callable[..., float | None], *series: Values) -> Values:
    return [
        None if any(value is None for value in column) else calculate(*column) for column in zip(*series, strict=True)
    ]


def _quotient(calculate: Callable[[float, float], float]) -> Callable[[float, float], float | None]:
    """Return a calculation that has no value for a division by zero, as in CloudWatch."""

    def guarded(left: float, right: float) -> float | None:
        try:
            return calculate(left, right)
        except ZeroDivisionError:
            return None

    return guarded
