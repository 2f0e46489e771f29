"""`make test-sam`: the sample invocations and one request, in containers, by the real `sam local`.

    engine.py      the container engine that runs, or one of our own for as long as this takes
    images.py      AWS's own image of the runtime, or stand_in.py where no registry can be reached
    forwarding.py  the local cloud, which listens on 127.0.0.1 alone, within the containers' reach
    template.py    the built template with the addresses of the local cloud
    invoking.py    `sam local invoke` and `sam local start-api`
    outcome.py     what passed, what did not, and what could not be run

docs/guides/sam-local.md tells a user of it.
"""


class CannotRun(RuntimeError):
    """Something that this needs is not to be had here; the message says what, and what to do about it."""
