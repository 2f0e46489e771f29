"""python -m local.sam [sample …]: the sample invocations, and one request, by the real `sam local`.

Ends with 0 where everything gave what it should, 1 where something did not, 2 where it could not be run.
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

from local.aws.deploy import DeploymentFailed, session
from local.aws.intrinsics import read_template
from local.aws.packaging import zip_tree
from local.cloud import STACK, LocalCloud, NotBuilt
from local.layout import BUILD, ROOT, Layout
from local.ports import HOST, NoFreePort, pick
from local.postgres import PostgresFailed
from local.processes import NotReady
from local.sam import CannotRun
from local.sam.engine import CommandFailed, Engine, Report, engine
from local.sam.forwarding import forwarded
from local.sam.images import PYTHON, Image, choose
from local.sam.invoking import InvocationFailed, SamLocal
from local.sam.outcome import Outcome, Tried
from local.sam.template import KEY_FILE, Deployed, in_a_container, local_template
from local.samples import SAMPLES, difference, functions, name_of

HOME = ROOT / ".local/test-sam"
OUTCOME = HOME / "outcome.json"
PATH_OF_THE_REQUEST = "/api/v1/health"
API_PORT = 3000
# Most of an invocation is the start of SAM, of a container and of a function: a processor each.
AT_ONCE = 2

_RESOLVE = "import socket; print(socket.gethostbyname('host.docker.internal'))"
_CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 10).close()"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m local.sam", description="Sample invocations by `sam local`.")
    parser.add_argument(
        "samples", nargs="*", metavar="sample", help="such as gateway/heartbeat; all where none is named"
    )
    samples = _chosen(parser, parser.parse_args().samples)

    def ask_to_stop(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, ask_to_stop)
    # A shell's background job ignores it, and so would each `sam local` that is to end by it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    started = time.perf_counter()
    shutil.rmtree(HOME, ignore_errors=True)
    (HOME / "logs").mkdir(parents=True)
    try:
        outcome = _run(samples, _say)
    except KeyboardInterrupt:
        _say("stopped, and with it everything that was started")
        return 130
    except (CannotRun, NotBuilt, NoFreePort, NotReady, PostgresFailed, DeploymentFailed, CommandFailed) as error:
        print(f"\nNot run: {error}")
        return 2
    outcome.write(OUTCOME)
    print("\n".join(["", *outcome.lines(), f"took       {time.perf_counter() - started:.0f} s"]))
    print(f"What `sam local` said of each: {HOME.relative_to(ROOT)}/logs; this as JSON: {OUTCOME.relative_to(ROOT)}")
    return 0 if outcome.passed else 1


def _run(samples: Sequence[Path], report: Report) -> Outcome:
    with ExitStack() as stack:
        found = stack.enter_context(engine(HOME, report))
        image = choose(found, HOME, report)
        report(f"functions run in {image.shown}")
        cloud = stack.enter_context(LocalCloud(Layout(HOME / "cloud"), report))
        cloud.start()
        address = found.run(*_python(image, _RESOLVE))
        stack.enter_context(forwarded(address, list(cloud.ports.values())))
        _check_way(found, image, address, cloud.ports["postgres"])
        template = _write_template(cloud, address)
        sam = SamLocal(found, image, template, cloud.aws_url, HOME / "logs")
        outcome = Outcome(image, found.version)
        _invoke_all(sam, samples, outcome)
        if len(samples) == len(SAMPLES):
            outcome.tried.append(_request(sam, report))
        else:
            outcome.not_run["start-api"] = "samples were named"
        return outcome


def _chosen(parser: argparse.ArgumentParser, names: Sequence[str]) -> list[Path]:
    known = {name_of(path): path for path in SAMPLES}
    if unknown := sorted(set(names) - set(known)):
        parser.error(f"there is no sample {', '.join(unknown)}; there are {', '.join(known)}")
    return [known[name] for name in names] or SAMPLES


def _python(image: Image, program: str, *arguments: str) -> list[str]:
    """What runs a line of Python in a container of the image that functions run in."""
    options = ["--rm", "--add-host", "host.docker.internal:host-gateway", "--entrypoint", PYTHON]
    return ["run", *options, image.name, "-c", program, *arguments]


def _check_way(found: Engine, image: Image, address: str, port: int) -> None:
    try:
        found.run(*_python(image, _CONNECT, address, str(port)))
    except CommandFailed as error:
        raise CannotRun(
            f"Containers do not reach the local cloud at {address}:{port}: {error}. A packet filter of this machine "
            "may forbid it (`ufw allow in on docker0`), or the engine is a rootless one, which keeps them from it."
        ) from error


def _write_template(cloud: LocalCloud, address: str) -> Path:
    client = session(cloud.aws_url)
    functions = client("lambda")
    key_layer = _publish_key(functions)

    def deployed(logical_id: str) -> Deployed:
        resource = client("cloudformation").describe_stack_resource(StackName=STACK, LogicalResourceId=logical_id)
        name = resource["StackResourceDetail"]["PhysicalResourceId"]
        found = functions.get_function_configuration(FunctionName=name, Qualifier="live")
        own = Deployed(found["Environment"]["Variables"], [layer["Arn"] for layer in found.get("Layers", [])])
        return in_a_container(own, address, cloud.aws_url, key_layer)

    path = HOME / "template.json"
    path.write_text(json.dumps(local_template(read_template(BUILD / "template.yaml"), deployed, BUILD), indent=1))
    return path


def _publish_key(functions: Any) -> str:
    """The local cloud's wrapping key as a layer; this cloud, and so its key, is thrown away at the end."""
    folder = HOME / "key-layer"
    folder.mkdir()
    shutil.copy(Layout(HOME / "cloud").wrapping_key(), folder / KEY_FILE)
    (folder / KEY_FILE).chmod(0o644)  # functions run as another user
    content = {"ZipFile": zip_tree(folder)}
    return str(functions.publish_layer_version(LayerName="key-of-test-sam", Content=content)["LayerVersionArn"])


def _invoke_all(sam: SamLocal, samples: Sequence[Path], outcome: Outcome) -> None:
    named = functions()

    def invoke(path: Path) -> Tried:
        name = name_of(path)

        def attempt() -> str | None:
            body = sam.invoke(named[name.split(".")[0]], path, name)
            return difference(name, body, failed=isinstance(body, dict) and "errorType" in body)

        return _timed(name, attempt)

    _say(f"sam local invoke, {len(samples)} samples …")
    with ThreadPoolExecutor(AT_ONCE) as threads:
        try:
            for number, done in enumerate(as_completed([threads.submit(invoke, path) for path in samples]), 1):
                outcome.tried.append(done.result())
                print(f"{number:3}/{len(samples)} {outcome.tried[-1]}", flush=True)
        except BaseException:
            threads.shutdown(wait=False, cancel_futures=True)
            sam.stop()
            raise


def _request(sam: SamLocal, report: Report) -> Tried:
    port = pick("start-api", API_PORT, report)

    def request() -> str | None:
        response = sam.request(PATH_OF_THE_REQUEST, port)
        return None if response.status_code == httpx.codes.OK else f"{response.status_code}: {response.text[:600]}"

    _say(f"sam local start-api, http://{HOST}:{port}{PATH_OF_THE_REQUEST} …")
    tried = _timed(f"start-api {PATH_OF_THE_REQUEST}", request)
    print(f"        {tried}", flush=True)
    return tried


def _timed(name: str, attempt: Callable[[], str | None]) -> Tried:
    started = time.perf_counter()
    try:
        found = attempt()
    except (InvocationFailed, NotReady, httpx.HTTPError) as error:
        found = f"{type(error).__name__}: {error}"
    return Tried(name, round(time.perf_counter() - started, 1), found)


def _say(line: str) -> None:
    print(f"· {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
