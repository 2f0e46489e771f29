"""Serve MiniStack on two ports of 127.0.0.1: the AWS endpoint, and the HTTP API on a clean base URL.

Import this module only after `__main__` has set the environment, because MiniStack reads it on import.
"""

import asyncio
import json
import signal
import time
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from hypercorn.asyncio import serve as hypercorn_serve
from hypercorn.config import Config
from ministack import app as ministack_app
from ministack.core import hypercorn_compat, lambda_runtime
from ministack.services import apigateway, cloudwatch

from local.aws import execution_environments, interrupted_executions, mail_relay, repairs, schedules
from local.aws.archives import ArchiveCache
from local.aws.monitoring import alarms, dashboards, log_subscriptions, metric_data, service_metrics, traces
from local.aws.runtime_packages import link_runtime_packages
from local.aws.saved_state import SERVICES, marked
from local.aws.upstream import check_sources
from local.layout import CLOCK_FILE, SES_SOURCE

HOST = "127.0.0.1"
_RELIES_ON = {"app.save_all": (ministack_app.save_all, "ea253a04fd05")}
_collector = traces.Collector()

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


def newest_http_api() -> str | None:
    """Return the id of the newest HTTP API, or None before the first deployment.

    Each request looks the id up, so a restart or a replaced stack needs no configuration.
    """
    apis = [api for api in apigateway._apis._data.values() if api["protocolType"] == "HTTP"]
    return max(apis, key=lambda api: str(api["createdDate"]))["apiId"] if apis else None


def with_api_port(app: App, api_port: int, find_api: Callable[[], str | None] = newest_http_api) -> App:
    """Return an ASGI app that responds as the HTTP API on `api_port`, and as `app` on every other port.

    It rewrites the path to that of the API's $default stage in MiniStack, in the same process.
    """

    async def dispatch(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["server"][1] != api_port:
            if scope["type"] == "http" and scope["path"] == traces.COLLECTOR_PATH:
                await _collect(scope["method"], receive, send)
                return
            page = find_page(scope["path"]) if scope["type"] == "http" and scope["method"] == "GET" else None
            await (app(scope, receive, send) if page is None else _respond(page.encode(), b"text/html", send))
            return
        api_id = find_api()
        if api_id is None:
            await _respond_unavailable(send)
            return
        prefix = f"/_aws/execute-api/{api_id}/$default"
        raw_path = scope.get("raw_path") or quote(scope["path"]).encode()
        rewritten = {**scope, "path": prefix + scope["path"], "raw_path": prefix.encode() + raw_path}
        started, status = time.perf_counter(), 500

        async def send_and_note(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        await app(rewritten, receive, send_and_note)
        service_metrics.record_request(api_id, status, time.perf_counter() - started)

    return dispatch


def find_page(path: str) -> str | None:
    """Return the page of a dashboard or of a trace, or None for any other path."""
    if page := _collector.page(path):
        return page
    if path.rstrip("/") == dashboards.PATH:
        return dashboards.render_index(list(cloudwatch._dashboards))
    name = path.removeprefix(f"{dashboards.PATH}/")
    if name == path or name not in cloudwatch._dashboards:
        return None
    every_alarm = [*cloudwatch._alarms.values(), *cloudwatch._composite_alarms.values()]
    body = cloudwatch._dashboards[name]["DashboardBody"]
    return dashboards.render(name, list(cloudwatch._dashboards), body, alarms.MiniStackPoints(), every_alarm)


async def _collect(method: str, receive: Receive, send: Send) -> None:
    """Accept an export of spans, or answer with the last exports."""
    if method == "POST":
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        _collector.accept(json.loads(body))
        await _respond(b"{}", b"application/json", send)
    else:
        await _respond(json.dumps(_collector.requests()).encode(), b"application/json", send)


async def _respond(body: bytes, media_type: bytes, send: Send) -> None:
    headers = [(b"content-type", media_type + b"; charset=utf-8"), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _respond_unavailable(send: Send) -> None:
    body = json.dumps({"message": "No HTTP API is deployed yet"}).encode()
    headers = [(b"content-type", b"application/json"), (b"retry-after", b"1")]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def serve(port: int, api_port: int, state: Path, smtp: tuple[str, int] | None) -> None:
    """Serve until SIGTERM or SIGINT, then save the state. Prints `ready` once both ports answer."""
    services = state / SERVICES
    execution_environments.install(
        execution_environments.Runtime(
            archives=ArchiveCache(state / "unpacked"),
            packages=link_runtime_packages(state / "runtime"),
            endpoint=f"http://{HOST}:{port}",
            clock_file=state.parent / CLOCK_FILE,
        )
    )
    check_sources(_RELIES_ON)
    ministack_app.save_all = marked(ministack_app.save_all, services)
    repairs.install()
    schedules.install()
    log_subscriptions.install()
    service_metrics.install(SES_SOURCE)
    alarms.install()
    metric_data.install()
    interrupted = interrupted_executions.install()
    relay = mail_relay.install(state / "mail", smtp) if smtp else None
    hypercorn_compat.install()

    config = Config()
    config.bind = [f"{HOST}:{port}", f"{HOST}:{api_port}"]
    config.keep_alive_timeout = 75
    config.graceful_timeout = 1
    config.loglevel = "WARNING"

    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)

    ready_task = asyncio.create_task(
        _print_ready((port, api_port), lambda: interrupted.start_again(f"http://{HOST}:{port}"))
    )
    try:
        await hypercorn_serve(with_api_port(ministack_app.app, api_port), config, shutdown_trigger=stopping.wait)  # type: ignore[arg-type]
    finally:
        ready_task.cancel()
        lambda_runtime.reset()  # the processes of the execution environments
        if relay is not None:
            relay.stop()


async def _print_ready(ports: tuple[int, ...], when_ready: Callable[[], None]) -> None:
    for port in ports:
        while True:
            try:
                _, writer = await asyncio.open_connection(HOST, port)
            except OSError:
                await asyncio.sleep(0.02)
            else:
                writer.close()
                break
    print("ready", flush=True)
    when_ready()
