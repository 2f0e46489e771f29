"""The word in every function's environment that changes with the parameters' values."""

import hashlib
import json
from collections.abc import Mapping


def configuration_word(values: Mapping[str, str]) -> str:
    """SAM publishes a function's version when a property of it changes as it is written.

    A parameter that is referred to is written the same whatever its value
    (https://github.com/aws/serverless-application-model/issues/3820), and behind the alias everything would go on with
    the old one. The word is never a number in YAML.
    """
    return f"p-{hashlib.sha256(json.dumps(dict(values), sort_keys=True).encode()).hexdigest()[:16]}"
