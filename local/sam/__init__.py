"""`make test-sam`: run the sample invocations and one request in containers, with the real `sam local`.

    engine.py      the running container engine, or a temporary one
    images.py      AWS's image of the runtime, or stand_in.py if no registry can be reached
    forwarding.py  access from containers to the local cloud, which listens only on 127.0.0.1
    template.py    the built template with the addresses of the local cloud
    sam_local.py   `sam local invoke` and `sam local start-api`
    results.py     the results: passed, failed and not run

docs/guides/sam-local.md is the guide.
"""


class CannotRun(RuntimeError):
    """A prerequisite is missing on this machine. The message names it and says what to do."""
