"""Writes every requirements file from the one lock; what the common layer already has is left out of the others.

python scripts/export_requirements.py          # write
python scripts/export_requirements.py --check  # fail where a file is not what the lock says
"""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
# Where each group goes, and which others are always beside it.
FILES = {
    "functions/gateway": ("gateway", ()),
    "functions/workflows": ("workflows", ()),
    "functions/messaging": ("messaging", ()),
    "layers/vectors": ("vectors", ()),
    "layers/bulk": ("bulk", ()),
    "layers/embeddings": ("embeddings", ("vectors",)),
}
HEADER = "# Exported from uv.lock by `make lock`; do not edit.\n"
# In the Lambda runtime; or, as hf-xet, only for downloads that never happen there.
_LEFT_OUT = {"boto3", "botocore", "s3transfer", "python-dateutil", "six", "hf-xet"}


def export(*arguments: str) -> dict[str, str]:
    """Name → requirement line with its pins, markers kept."""
    command = [
        os.environ.get("UV", "uv"),
        "export",
        "--frozen",
        "--no-hashes",
        "--no-header",
        "--no-annotate",
        "--no-emit-project",
    ]
    output = subprocess.run([*command, *arguments], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    lines = [line for line in output.splitlines() if line and not line.startswith("#")]
    return {line.split("==")[0].split("[")[0].strip(): line for line in lines}


def wanted() -> dict[Path, str]:
    common = {name: line for name, line in export("--no-default-groups").items() if name not in _LEFT_OUT}
    files = {ROOT / "layers/common/python/requirements.txt": common}
    for folder, (group, beside) in FILES.items():
        present = dict(common)
        for other in beside:
            present |= export("--only-group", other)
        files[ROOT / folder / "requirements.txt"] = _without(export("--only-group", group), present)
    return {path: HEADER + "".join(f"{line}\n" for line in lines.values()) for path, lines in files.items()}


def _without(lines: dict[str, str], present: dict[str, str]) -> dict[str, str]:
    return {name: line for name, line in lines.items() if name not in present and name not in _LEFT_OUT}


def main() -> int:
    stale = [path for path, text in wanted().items() if not path.is_file() or path.read_text() != text]
    if "--check" in sys.argv:
        for path in stale:
            print(f"{path.relative_to(ROOT)} is not what uv.lock says: run `make lock`.")
        return 1 if stale else 0
    for path, text in wanted().items():
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
