"""python -m local.sam [sample …]: run the sample invocations and one request with the real `sam local`.

Exits with 0 if every result was as expected, 1 if one was not, and 2 if nothing could be run.
"""

import argparse
import json
import shutil
import signal
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import Any

import httpx

from local.aws.deploy import DeploymentFailed, client_factory
from local.aws.intrinsics import read_template
from local.aws.packaging import zip_tree
from local.cloud import STACK, LocalCloud, NotBuilt
from local.layout import BUILD, ROOT, Layout
from local.ports import HOST, NoFreePort, pick_port
from local.postgres import PostgresFailed
from local.processes import NotReady
from local.sam import CannotRun
from local.sam.engine import CommandFailed, Engine, Report, open_engine
from local.sam.forwarding import forward_ports
from local.sam.images import PYTHON, Image, choose_image
from local.sam.results import Outcome, SampleResult
from local.sam.sam_local import InvocationFailed, SamLocal
from local.sam.template import KEY_FILE, FunctionConfiguration, for_container, local_template
from local.samples import SAMPLES, difference, functions, name_of

HOME = ROOT / ".local/test-sam"
OUTCOME = HOME / "outcome.json"
REQUEST_PATH = "/api/v1/health"
API_PORT = 3000
# An invocation mostly starts SAM, a container and a function, which keeps about one core busy.
CONCURRENT_INVOCATIONS = 2

_RESOLVE = "import socket; print(socket.gethostbyname('host.docker.internal'))"
_CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 10).close()"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m local.sam", description="Run the samples with `sam local`.")
    parser.add_argument(
        "samples", nargs="*", metavar="sample", help="such as gateway/heartbeat; without samples, all are run"
    )
    samples = _choose_samples(parser, parser.parse_args().samples)

    def request_stop(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, request_stop)
    # A background job of a shell ignores SIGINT, and its child processes would too. `sam local` must react to it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    started = time.perf_counter()
    shutil.rmtree(HOME, ignore_errors=True)
    (HOME / "logs").mkdir(parents=True)
    try:
        outcome = _run(samples, _say)
    except KeyboardInterrupt:
        _say("Stopped, with everything that was started.")
        return 130
    except (CannotRun, NotBuilt, NoFreePort, NotReady, PostgresFailed, DeploymentFailed, CommandFailed) as error:
        print(f"\nNot run: {error}")
        return 2
    outcome.write(OUTCOME)
    print("\n".join(["", *outcome.lines(), f"duration   {time.perf_counter() - started:.0f} s"]))
    print(f"Logs of `sam local`: {HOME.relative_to(ROOT)}/logs. These results as JSON: {OUTCOME.relative_to(ROOT)}")
    return 0 if outcome.passed else 1


def _run(samples: Sequence[Path], report: Report) -> Outcome:
    with ExitStack() as stack:
        container_engine = stack.enter_context(open_engine(HOME, report))
        image = choose_image(container_engine, HOME, report)
        report(f"Functions run in {image.label}")
        cloud = stack.enter_context(LocalCloud(Layout(HOME / "cloud"), report))
        cloud.start()
        address = container_engine.run(*_python_command(image, _RESOLVE))
        stack.enter_context(forward_ports(address, list(cloud.ports.values())))
        _check_reachable(container_engine, image, address, cloud.ports["postgres"])
        template = _write_template(cloud, address)
        sam = SamLocal(container_engine, image, template, cloud.aws_url, HOME / "logs")
        outcome = Outcome(image, container_engine.version)
        _invoke_all(sam, samples, outcome)
        if len(samples) == len(SAMPLES):
            outcome.tried.append(_request(sam, report))
        else:
            outcome.not_run["start-api"] = "only selected samples were run"
        return outcome


def _choose_samples(parser: argparse.ArgumentParser, names: Sequence[str]) -> list[Path]:
    samples_by_name = {name_of(path): path for path in SAMPLES}
    if unknown := sorted(set(names) - set(samples_by_name)):
        parser.error(f"unknown sample: {', '.join(unknown)}. Available: {', '.join(samples_by_name)}")
    return [samples_by_name[name] for name in names] or SAMPLES


def _python_command(image: Image, program: str, *arguments: str) -> list[str]:
    """Return the `docker` arguments that run Python code in a container of the functions' image."""
    options = ["--rm", "--add-host", "host.docker.internal:host-gateway", "--entrypoint", PYTHON]
    return ["run", *options, image.name, "-c", program, *arguments]


def _check_reachable(container_engine: Engine, image: Image, address: str, port: int) -> None:
    try:
        container_engine.run(*_python_command(image, _CONNECT, address, str(port)))
    except CommandFailed as error:
        raise CannotRun(
            f"Containers cannot reach the local cloud at {address}:{port}: {error}. A firewall of this machine may "
            "block it (allow it with `ufw allow in on docker0`), or the container engine is rootless."
        ) from error


def _write_template(cloud: LocalCloud, address: str) -> Path:
    client = client_factory(cloud.aws_url)
    functions = client("lambda")
    key_layer = _publish_key(functions)

    def configuration_of(logical_id: str) -> FunctionConfiguration:
        resource = client("cloudformation").describe_stack_resource(StackName=STACK, LogicalResourceId=logical_id)
        name = resource["StackResourceDetail"]["PhysicalResourceId"]
        response = functions.get_function_configuration(FunctionName=name, Qualifier="live")
        configuration = FunctionConfiguration(
            response["Environment"]["Variables"], [layer["Arn"] for layer in response.get("Layers", [])]
        )
        return for_container(configuration, address, cloud.aws_url, key_layer)

    path = HOME / "template.json"
    path.write_text(
        json.dumps(local_template(read_template(BUILD / "template.yaml"), configuration_of, BUILD), indent=1)
    )
    return path


def _publish_key(functions: Any) -> str:
    """Publish the wrapping key as a layer. This local cloud and its key are deleted by the next run."""
    folder = HOME / "key-layer"
    folder.mkdir()
    shutil.copy(Layout(HOME / "cloud").wrapping_key(), folder / KEY_FILE)
    (folder / KEY_FILE).chmod(0o644)  # functions run as another user
    content = {"ZipFile": zip_tree(folder)}
    return str(functions.publish_layer_version(LayerName="key-of-test-sam", Content=content)["LayerVersionArn"])


def _invoke_all(sam: SamLocal, samples: Sequence[Path], outcome: Outcome) -> None:
    function_ids = functions()

    def invoke(path: Path) -> SampleResult:
        name = name_of(path)

        def attempt() -> str | None:
            body = sam.invoke(function_ids[name.split(".")[0]], path, name)
            return difference(name, body, failed=isinstance(body, dict) and "errorType" in body)

        return _timed(name, attempt)

    _say(f"Running `sam local invoke` for {len(samples)} samples …")
    with ThreadPoolExecutor(CONCURRENT_INVOCATIONS) as threads:
        try:
            for number, future in enumerate(as_completed([threads.submit(invoke, path) for path in samples]), 1):
                outcome.tried.append(future.result())
                print(f"{number:3}/{len(samples)} {outcome.tried[-1]}", flush=True)
        except BaseException:
            threads.shutdown(wait=False, cancel_futures=True)
            sam.stop()
            raise


def _request(sam: SamLocal, report: Report) -> SampleResult:
    port = pick_port("start-api", API_PORT, report)

    def request() -> str | None:
        response = sam.request(REQUEST_PATH, port)
        return None if response.status_code == httpx.codes.OK else f"{response.status_code}: {response.text[:600]}"

    _say(f"Running `sam local start-api`, http://{HOST}:{port}{REQUEST_PATH} …")
    result = _timed(f"start-api {REQUEST_PATH}", request)
    print(f"        {result}", flush=True)
    return result


def _timed(name: str, attempt: Callable[[], str | None]) -> SampleResult:
    started = time.perf_counter()
    try:
        problem = attempt()
    except (InvocationFailed, NotReady, httpx.HTTPError) as error:
        problem = f"{type(error).__name__}: {error}"
    return SampleResult(name, round(time.perf_counter() - started, 1), problem)


def _say(line: str) -> None:
    print(f"· {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
