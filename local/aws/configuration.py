"""The CONFIGURATION variable of every function, which changes with the values of the stack's parameters."""

import hashlib
import json
from collections.abc import Mapping


def configuration_fingerprint(values: Mapping[str, str]) -> str:
    """Return a fingerprint of the parameters' values, such as "p-0123456789abcdef".

    SAM publishes a new version of a function only if the text of its properties changes. A reference to a parameter has
    the same text for every value (https://github.com/aws/serverless-application-model/issues/3820), so without this
    fingerprint the alias would keep the old values. The prefix prevents YAML from reading the fingerprint as a number.
    """
    return f"p-{hashlib.sha256(json.dumps(dict(values), sort_keys=True).encode()).hexdigest()[:16]}"
