"""Writes into the built template which values its parameters are deployed with.

SAM publishes a function's version when a property of it changes as it is written: a parameter that is referred to is
written the same whatever its value (https://github.com/aws/serverless-application-model/issues/3820), and behind the
alias everything would go on with the old one. A word in every function's environment that changes with the values makes
it another property.

python scripts/stamp_configuration.py .aws-sam/build/template.yaml "Stage=dev DatabaseHost=…"
"""

import hashlib
import re
import sys
from pathlib import Path

_WORD = re.compile(r"^(?P<key> +CONFIGURATION): .*$", re.M)


def stamped(template: str, parameters: str) -> str:
    """Raises ValueError where the template has no such word, or several."""
    # Never a number in YAML.
    word = f"p-{hashlib.sha256(parameters.encode()).hexdigest()[:16]}"
    text, found = _WORD.subn(rf"\g<key>: {word}", template)
    if found != 1:
        raise ValueError(f"CONFIGURATION stands in the template {found} times, and should once, in Globals")
    return text


def main() -> int:
    path, parameters = Path(sys.argv[1]), sys.argv[2]
    path.write_text(stamped(path.read_text(), parameters))
    return 0


if __name__ == "__main__":
    sys.exit(main())
