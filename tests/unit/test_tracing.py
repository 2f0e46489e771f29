"""Spans of one invocation, and the line that an exporter reads."""

import asyncio
import json
from typing import Any

import pytest

from email_sender import tracing
from email_sender.adapters.web.otlp import OtlpExporter
from email_sender.errors import Unavailable

PARENT = f"00-{'a1' * 16}-{'b2' * 8}-01"
UNSAMPLED = f"00-{'a1' * 16}-{'b2' * 8}-00"


@pytest.fixture(autouse=True)
def tracing_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(tracing.SAMPLE_VARIABLE, "0")


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_spans_form_a_tree_below_the_caller(capsys: pytest.CaptureFixture[str]) -> None:
    with tracing.invocation("request", traceparent=PARENT):
        tracing.describe("GET /x", http__route="/x")
        with tracing.span("outer"), tracing.span("inner", "client", db__system="postgresql"):
            pass
    (line,) = lines(capsys)
    own, outer, inner = line["spans"]
    assert line["trace_id"] == "a1" * 16
    assert (own[0], own[3], own[7]) == ("GET /x", "b2" * 8, {"http.route": "/x"})
    assert (outer[3], inner[3]) == (own[2], outer[2])
    assert (inner[1], inner[7]) == ("client", {"db.system": "postgresql"})
    assert own[4] <= outer[4] <= inner[4] <= inner[5] <= outer[5] <= own[5]


def test_the_context_passes_on_the_current_span() -> None:
    assert tracing.traceparent() is None
    with tracing.invocation("request", traceparent=PARENT):
        outer = tracing.traceparent()
        with tracing.span("inner"):
            inner = tracing.traceparent()
        assert tracing.traceparent() == outer
        assert tracing.find_traceparent(json.dumps({"detail": {"traceparent": inner}})) == inner
    assert outer != inner
    assert str(inner).startswith(f"00-{'a1' * 16}-")
    assert str(inner).endswith("-01")


@pytest.mark.parametrize("context", [None, "", "x", PARENT.upper(), f"00-{'0' * 32}-{'b2' * 8}-01", PARENT + "-x"])
def test_a_wrong_context_begins_another_trace(context: str | None) -> None:
    with tracing.invocation("request", traceparent=context):
        assert "a1" * 16 not in str(tracing.traceparent())


def test_an_unsampled_trace_is_written_only_if_it_failed(capsys: pytest.CaptureFixture[str]) -> None:
    with tracing.invocation("request", traceparent=UNSAMPLED):
        assert str(tracing.traceparent()).endswith("-00")
    assert lines(capsys) == []
    with pytest.raises(ValueError, match="x"), tracing.invocation("request", traceparent=UNSAMPLED):
        raise ValueError("x")
    with tracing.invocation("request", traceparent=UNSAMPLED):
        tracing.describe(failed=True)
    assert [line["spans"][0][6] for line in lines(capsys)] == [True, True]


def test_a_slow_request_is_kept(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([0, 1_100_000_000])
    monkeypatch.setattr("email_sender.tracing.time.time_ns", lambda: next(times))
    with tracing.invocation("request", traceparent=UNSAMPLED):
        pass
    assert len(lines(capsys)) == 1


def test_a_task_joins_the_trace_of_its_run(capsys: pytest.CaptureFixture[str]) -> None:
    with tracing.invocation("task"):
        with tracing.span("before"):
            pass
        tracing.join(PARENT)
        tracing.join("nonsense")
        tracing.join(None)
    (line,) = lines(capsys)
    assert (line["trace_id"], line["spans"][0][3]) == ("a1" * 16, "b2" * 8)


def test_concurrent_tasks_have_their_own_parents(capsys: pytest.CaptureFixture[str]) -> None:
    async def work(name: str) -> None:
        with tracing.span(name):
            await asyncio.sleep(0)
            with tracing.span(f"{name} child"):
                await asyncio.sleep(0)

    async def both() -> None:
        await asyncio.gather(work("a"), work("b"))

    with tracing.invocation("request", traceparent=PARENT):
        # asyncio.run would leave the thread without an event loop, which other tests need.
        loop = asyncio.new_event_loop()
        loop.run_until_complete(both())
        loop.close()
    (line,) = lines(capsys)
    by_name = {span[0]: span for span in line["spans"]}
    assert by_name["a child"][3] == by_name["a"][2]
    assert by_name["b child"][3] == by_name["b"][2]


def test_endless_spans_are_cut(capsys: pytest.CaptureFixture[str]) -> None:
    with tracing.invocation("request", traceparent=PARENT):
        for _ in range(1000):
            with tracing.span("x"):
                pass
    assert len(lines(capsys)[0]["spans"]) == 300


def test_nothing_happens_while_tracing_is_off(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(tracing.SAMPLE_VARIABLE, "")
    with tracing.invocation("request", traceparent=PARENT), tracing.span("x"):
        assert tracing.traceparent() is None
        assert tracing.trace_id() is None
    assert capsys.readouterr().out == ""


def test_the_exporter_skips_what_is_no_span() -> None:
    exporter = OtlpExporter("http://127.0.0.1:9/v1/traces", dict, {})
    assert exporter.export(["START", "{}", f'"{tracing.LINE_MARK}"', f'{{"{tracing.LINE_MARK}": 2}}', "{broken"]) == 0


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:9/v1/traces", "nonsense", "http://[/"])
def test_a_collector_that_cannot_be_reached_is_unavailable(endpoint: str) -> None:
    with pytest.raises(Unavailable):
        OtlpExporter(endpoint, dict, {}).probe()


def test_a_wrong_secret_is_unavailable() -> None:
    with pytest.raises(Unavailable, match="headers"):
        OtlpExporter("http://127.0.0.1:9/v1/traces", lambda: dict(json.loads("Bearer x")), {}).probe()
