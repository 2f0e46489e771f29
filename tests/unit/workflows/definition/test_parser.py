"""Tests for the rules of a workflow definition: the JSON pointer and the message of each problem."""

import copy
import math
from typing import Any

import pytest

from email_sender.adapters.documents.jsonata_expressions import JsonataExpressions
from email_sender.errors import InvalidInput, Problem
from email_sender.workflows.actions import ACTION_CATALOGUE
from email_sender.workflows.definition.model import EventTrigger, OnError, Retry, ScheduleTrigger, WebhookTrigger
from email_sender.workflows.definition.parser import parse_definition
from tests.unit.workflows.samples import OUTREACH, parse

Raw = dict[str, Any]


def send(**changes: Any) -> Raw:
    return {"id": "b", "uses": "email.send", "needs": ["a"], "with": {"draft": "d"}} | changes


def sample(*more: Raw, **changes: Any) -> Raw:
    first = {"id": "a", "uses": "email.send", "with": {"draft": "d"}}
    return {"name": "sample", "steps": [first, *more]} | changes


def search(**arguments: Any) -> Raw:
    return {"id": "b", "uses": "vectors.search", "with": {"collection": "c", "text": "t"} | arguments}


def problems(raw: Any) -> tuple[Problem, ...]:
    with pytest.raises(InvalidInput) as caught:
        parse(raw)
    return caught.value.problems


def nested(depth: int) -> Any:
    value: Any = "x"
    for _ in range(depth):
        value = [value]
    return value


LONG = "x" * 9_000
BROKEN_RULES: list[tuple[str, Any, str, str]] = [
    # the document
    ("not an object", [], "", "must be an object"),
    ("no name", {"steps": [send(needs=[])]}, "", "'name' is missing"),
    ("no steps", {"name": "x"}, "", "'steps' is missing"),
    ("empty steps", {"name": "x", "steps": []}, "/steps", "must have at least one step"),
    ("unknown key", sample(step=[]), "/step", "did you mean 'steps'?"),
    ("name of a wrong type", sample(name=3), "/name", "must be a string, not an integer"),
    ("long name", sample(name="x" * 101), "/name", "at most 100 characters"),
    ("steps of a wrong type", sample(steps={}), "/steps", "must be a list, not an object"),
    ("NaN", sample(send(**{"with": {"draft": math.nan}})), "/steps/1/with/draft", "finite"),
    ("a key that is no text", sample(settings={True: 1}), "/settings", "the key True must be a string"),
    ("a value that JSON has not", sample(description={1, 2}), "/description", "a set is not a JSON value"),
    ("too deep", sample(inputs={"x": nested(40)}), "", "nested deeper than 24 levels"),
    ("too many values", sample(inputs={"enum": [0] * 60_000}), "", "more than 50000 values"),
    ("too large", sample(inputs={"enum": [LONG] * 30}), "", "the maximum is 262144 bytes"),
    ("too many steps", {"name": "x", "steps": [send()] * 401}, "/steps", "at most 400 steps"),
    # settings and inputs
    ("unknown setting", sample(settings={"timeot": "P1D"}), "/settings/timeot", "did you mean 'timeout'?"),
    ("bad duration", sample(settings={"timeout": "7 days"}), "/settings/timeout", "is not a duration"),
    ("a month", sample(settings={"timeout": "P1M"}), "/settings/timeout", "no months or years"),
    ("over a year", sample(settings={"timeout": "P366D"}), "/settings/timeout", "between 1 and 31536000 seconds"),
    ("inputs no object", sample(inputs={"type": "array"}), "/inputs/type", "must be 'object'"),
    (
        "outside reference",
        sample(inputs={"$ref": "http://x/y"}),
        "/inputs/$ref",
        "references outside this schema",
    ),
    # steps
    ("no id", sample({"uses": "approval", "with": {"title": "t"}}), "/steps/1", "'id' is missing"),
    ("bad id", sample(send(id="1st")), "/steps/1/id", "must begin with a letter"),
    ("dotted id", sample(send(id="a.b")), "/steps/1/id", "letters, digits, - and _"),
    ("long id", sample(send(id="x" * 65)), "/steps/1/id", "at most 64"),
    ("id twice", sample(send(id="a", needs=[])), "/steps/1/id", "already the id"),
    ("ids alike", sample(send(id="x-y"), send(id="x_y")), "/steps/2/id", "differ only in - and _"),
    ("unknown step key", sample(send(foreach="{% 1 %}")), "/steps/1/foreach", "did you mean 'for_each'?"),
    ("unknown action", sample(send(uses="email.sent")), "/steps/1/uses", "did you mean 'email.send'?"),
    ("no such action", sample(send(uses="fly")), "/steps/1/uses", "known actions: vectors.search"),
    ("unknown need", sample(send(needs=["aa"])), "/steps/1/needs/0", "step 'aa' does not exist; did you mean 'a'?"),
    ("own need", sample(send(needs=["b"])), "/steps/1/needs/0", "cannot need itself"),
    ("need twice", sample(send(needs=["a", "a"])), "/steps/1/needs/1", "listed twice"),
    ("cycle", sample(send(needs=["c"]), send(id="c", needs=["b"])), "/steps/1/needs", "b → c → b"),
    # expressions
    ("not upstream", sample(send(needs=[], **{"with": {"draft": "{% $steps.a %}"}})), "/steps/1/with/draft", "add 'a'"),
    ("own result", sample(send(when="{% $steps.b %}")), "/steps/1/when", "this step's own result"),
    ("unknown step", sample(send(when="{% $steps.aa.x %}")), "/steps/1/when", "did you mean 'a'?"),
    ("bad JSONata", sample(send(when="{% 1 + %}")), "/steps/1/when", "is not valid JSONata"),
    ("empty expression", sample(send(when="{% %}")), "/steps/1/when", "nothing between"),
    ("$states", sample(send(when="{% $states.input %}")), "/steps/1/when", "$states is not available"),
    ("$eval", sample(send(when="{% $eval('1') %}")), "/steps/1/when", "$eval is not allowed"),
    ("unknown variable", sample(send(when="{% $input.x %}")), "/steps/1/when", "did you mean $inputs?"),
    ("hidden variable", sample(send(when="{% $step_a %}")), "/steps/1/when", "$step_a does not exist"),
    ("forgotten dollar", sample(send(when="{% inputs.x %}")), "/steps/1/when", "did you mean $inputs?"),
    ("rebinding", sample(send(when="{% ($steps := 1; $steps) %}")), "/steps/1/when", "reserved by the platform"),
    ("the root", sample(send(when="{% $$.x %}")), "/steps/1/when", "does not refer to anything"),
    (
        "newer JSONata",
        sample(send(when="{% $inputs.a ?? 1 %}")),
        "/steps/1/when",
        "does not support ?: and ??",
    ),
    ("deep expression", sample(send(when="{% " + "(" * 3_000 + ")" * 3_000 + " %}")), "/steps/1/when", "too deeply"),
    ("long expression", sample(send(when="{% '" + LONG + "' %}")), "/steps/1/when", "the maximum is 8000"),
    ("unbalanced", sample(send(**{"with": {"draft": "{% 1"}})), "/steps/1/with/draft", "do not match"),
    ("unopened", sample(send(**{"with": {"draft": "1 %}"}})), "/steps/1/with/draft", "do not match"),
    ("in the middle", sample(send(**{"with": {"draft": "x {% 1 %}!"}})), "/steps/1/with/draft", "the whole value"),
    ("when is no expression", sample(send(when="true")), "/steps/1/when", "must be an expression"),
    ("when is true", sample(send(when=True)), "/steps/1/when", "must be an expression"),
    ("for_each is a list", sample(send(for_each=[1])), "/steps/1/for_each", "must be an expression"),
    (
        "item without for_each",
        sample(send(**{"with": {"draft": "{% $item %}"}})),
        "/steps/1/with/draft",
        "a step that has for_each",
    ),
    (
        "item in when",
        sample(send(when="{% $item %}", for_each="{% [1] %}")),
        "/steps/1/when",
        "a step that has for_each",
    ),
    # policies
    ("concurrency alone", sample(send(max_concurrency=2)), "/steps/1/max_concurrency", "only together with for_each"),
    (
        "concurrency",
        sample(send(for_each="{% [1] %}", max_concurrency=41)),
        "/steps/1/max_concurrency",
        "between 1 and 40, not 41",
    ),
    ("attempts", sample(send(retry={"max_attempts": 0})), "/steps/1/retry/max_attempts", "between 1 and 10, not 0"),
    ("attempts true", sample(send(retry={"max_attempts": True})), "/steps/1/retry/max_attempts", "not true or false"),
    ("interval", sample(send(retry={"interval": 2})), "/steps/1/retry/interval", "must be a duration such as"),
    ("backoff", sample(send(retry={"backoff": 0.5})), "/steps/1/retry/backoff", "between 1 and 10, not 0.5"),
    ("error name", sample(send(retry={"on": ["throtled"]})), "/steps/1/retry/on/0", "did you mean 'throttled'?"),
    ("no error name", sample(send(retry={"on": []})), "/steps/1/retry/on", "must name an error"),
    ("retry key", sample(send(retry={"attempts": 1})), "/steps/1/retry/attempts", "did you mean 'max_attempts'?"),
    (
        "retry of a wait",
        sample({"id": "w", "uses": "wait", "with": {"seconds": 1}, "retry": {}}),
        "/steps/1/retry",
        "cannot be retried",
    ),
    ("on_error", sample(send(on_error="ignore")), "/steps/1/on_error", "must be fail, continue or"),
    ("handler unknown", sample(send(on_error={"run": "x"})), "/steps/1/on_error/run", "step 'x' does not exist"),
    ("own handler", sample(send(on_error={"run": "b"})), "/steps/1/on_error/run", "its own error"),
    ("earlier handler", sample(send(on_error={"run": "a"})), "/steps/1/on_error/run", "must come later"),
    # with
    ("missing argument", sample(send(**{"with": {}})), "/steps/1/with", "'draft' is missing"),
    ("unknown argument", sample(send(**{"with": {"draft": "d", "to": "x"}})), "/steps/1/with/to", "is not a key"),
    ("argument's type", sample(search(limit="many")), "/steps/1/with/limit", "must be an integer, not a string"),
    ("argument's size", sample(search(limit=101)), "/steps/1/with/limit", "between 1 and 100"),
    ("neither", sample(search() | {"with": {"collection": "c"}}), "/steps/1/with", "one of text, vector is missing"),
    (
        "enumeration",
        sample({"id": "r", "uses": "approval", "with": {"title": "t", "on_timeout": "maybe"}}),
        "/steps/1/with/on_timeout",
        "must be one of denied, approved",
    ),
    (
        "computed timeout",
        sample({"id": "r", "uses": "approval", "with": {"title": "t", "timeout": "{% $inputs.t %}"}}),
        "/steps/1/with/timeout",
        "is not a duration",
    ),
    (
        "two ways to wait",
        sample({"id": "w", "uses": "wait", "with": {"seconds": 1, "duration": "PT1S"}}),
        "/steps/1/with",
        "only one of",
    ),
    (
        "instant",
        sample({"id": "w", "uses": "wait", "with": {"until": "2026-01-31"}}),
        "/steps/1/with/until",
        "is not a timestamp",
    ),
    (
        "expression as key",
        sample({"id": "t", "uses": "transform", "with": {"{% 1 %}": 1}}),
        "/steps/1/with/{% 1 %}",
        "key",
    ),
    # triggers
    ("two in one", sample(triggers=[{"webhook": {}, "event": {}}]), "/triggers/0", "exactly one of"),
    ("webhook's auth", sample(triggers=[{"webhook": {"auth": "none"}}]), "/triggers/0/webhook/auth", "signature or"),
    ("event without source", sample(triggers=[{"event": {"detail-type": ["x"]}}]), "/triggers/0/event", "'source'"),
    ("event's shape", sample(triggers=[{"event": {"source": "crm"}}]), "/triggers/0/event/source", "must be a list"),
    (
        "cron's fields",
        sample(triggers=[{"schedule": {"cron": "0 9 * * 1"}}]),
        "/triggers/0/schedule/cron",
        "six fields",
    ),
    (
        "cron's days",
        sample(triggers=[{"schedule": {"cron": "0 9 * * MON *"}}]),
        "/triggers/0/schedule/cron",
        "must be ?",
    ),
    (
        "time zone",
        sample(triggers=[{"schedule": {"cron": "0 9 ? * MON *", "timezone": "Mars/Base"}}]),
        "/triggers/0/schedule/timezone",
        "is not a time zone",
    ),
    (
        "sources by pattern",
        sample(triggers=[{"event": {"source": [{"prefix": "c"}]}}]),
        "/triggers/0/event/source",
        "names",
    ),
    (
        "sources of two kinds",
        sample(triggers=[{"event": {"source": ["crm", "email_sender.messaging"]}}]),
        "/triggers/0/event/source",
        "must have only platform sources",
    ),
    (
        "event's other keys",
        sample(triggers=[{"event": {"source": ["crm"], "account": ["1"]}}]),
        "/triggers/0/event/account",
        "is not a key",
    ),
    (
        "a run without what the inputs require",
        sample(
            inputs={"type": "object", "required": ["query"]},
            triggers=[{"schedule": {"cron": "0 9 ? * MON *"}}],
        ),
        "/triggers/0",
        "would lack the required input 'query'",
    ),
    (
        "for_each of an approval",
        sample(
            inputs={},
            steps=[
                {"id": "a", "uses": "approval", "for_each": "{% [1] %}", "with": {"title": "t"}},
            ],
        ),
        "/steps/0/for_each",
        "does not support for_each",
    ),
    ("webhook's keys", sample(triggers=[{"webhook": {"path": "x"}}]), "/triggers/0/webhook/path", "is not a key"),
]


@pytest.mark.parametrize(("raw", "pointer", "words"), [pytest.param(*row[1:], id=row[0]) for row in BROKEN_RULES])
def test_a_broken_rule_is_reported_at_its_pointer(raw: Any, pointer: str, words: str) -> None:
    reported_problems = problems(raw)
    assert (pointer, True) in [(problem.pointer, words in problem.message) for problem in reported_problems], (
        reported_problems
    )


def test_all_problems_are_reported_at_once() -> None:
    raw = sample(send(uses="fly", needs=["x"], when="yes"), settings={"timeout": "soon"})
    assert [problem.pointer for problem in problems(raw)] == [
        "/settings/timeout",
        "/steps/1/uses",
        "/steps/1/when",
        "/steps/1/needs/0",
    ]


def test_at_most_a_hundred_problems_are_reported() -> None:
    assert len(problems(sample(**{f"k{n}": 1 for n in range(500)}))) == 100


def test_a_shared_node_counts_once_per_occurrence() -> None:
    bomb: Any = ["x"] * 10
    for _ in range(10):
        bomb = [bomb] * 10
    assert "values" in problems(sample(inputs={"x": bomb}))[0].message


def test_the_outreach_example_is_parsed() -> None:
    definition = parse(OUTREACH)
    assert definition.levels == (("select",), ("draft",), ("review",), ("send",))
    assert definition.timeout_seconds == 7 * 86_400
    assert definition.triggers == (
        EventTrigger({"source": ["crm"], "detail-type": ["LeadCreated"]}, {"query": "a lead"}),
        ScheduleTrigger("0 9 ? * MON *", "Europe/Paris", {"query": "new bugs"}),
        WebhookTrigger(),
    )
    sending = definition.steps["send"]
    assert sending.retry == Retry(5, 2, 2.0, ("throttled", "unavailable"))
    assert (sending.max_concurrency, sending.on_error) == (5, OnError.CONTINUE)
    assert sending.when
    assert sending.when.steps == {"review"}
    assert definition.permissions == {"vectors:read", "messaging:write", "messaging:send"}


def test_parsing_does_not_change_the_document() -> None:
    before = copy.deepcopy(OUTREACH)
    parse(OUTREACH)
    assert before == OUTREACH


def test_an_error_handler_runs_after_the_step_it_handles() -> None:
    definition = parse(sample(send(on_error={"run": "c"}), send(id="c", needs=[])))
    assert definition.levels == (("a",), ("b",), ("c",))
    assert definition.steps["c"].handles == ("b",)


def test_an_error_handler_can_read_the_error_it_handles() -> None:
    raw = sample(send(on_error={"run": "c"}), send(id="c", needs=[], **{"with": {"draft": "{% $steps.b.error %}"}}))
    assert parse(raw).steps["c"].after == ("b",)


@pytest.mark.parametrize(
    "source",
    [
        "$steps.`a`.x",
        "$steps.a.groups[score > 0.5].key",
        "$map($steps.a, function($v, $i) { $v.id & $i })",
        "($total := $sum($steps.a.n); $total / 2)",
        "$steps.a.rows@$r.cells#$i[$i = 0].{'row': $r, 'cell': $}",
        "$steps.a{key: $count(hits)}",
        "$steps.a^(>score)[0].key",
        "$inputs.x ~> $uppercase ~> $trim",
        "$inputs.a ? $run.id : 'none'",
        "$filter($inputs.list, function($v) { $v in ['a', 'b'] })",
        "$reduce([1..5], function($i, $j) { $i * $j })",
        "($f := function($n) { $n <= 1 ? 1 : $n * $f($n - 1) }; $f(4))",
        "$steps.a ~> |$|{'extra': $inputs.x}|",
        "$contains($inputs.q, /rpm|deb/i)",
        "-$inputs.n",
        "$hash($inputs.q, 'SHA-256')",
        "$keys($steps)",
    ],
)
def test_a_valid_expression_is_accepted(source: str) -> None:
    step = parse(sample(send(when=f"{{% {source} %}}"))).steps["b"]
    assert step.when


def test_an_expression_over_all_steps_reads_every_upstream_step() -> None:
    raw = sample(send(), send(id="c", needs=["b"], when="{% $count($keys($steps)) > 1 %}"), send(id="d"))
    when = parse(raw).steps["c"].when
    assert when
    assert when.steps == {"a", "b"}


class RejectingSchemaChecker:
    def check(self, schema: Any) -> list[Problem]:
        return [Problem("/properties/q/type", "is no type")] if schema else []


def test_the_inputs_schema_is_checked_through_the_port() -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_definition(
            sample(inputs={"type": "object"}), ACTION_CATALOGUE, JsonataExpressions(), RejectingSchemaChecker()
        )
    assert caught.value.problems == (Problem("/inputs/properties/q/type", "is no type"),)
