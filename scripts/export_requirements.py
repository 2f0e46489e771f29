"""Write every requirements.txt from uv.lock, with the hashes that the build checks.

The other files leave out what the common layer already has.

python scripts/export_requirements.py          # write
python scripts/export_requirements.py --check  # fail if a file is out of date
"""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
# The dependency group of each folder, and the groups whose layers are always deployed with it.
FILES = {
    "functions/gateway": ("gateway", ()),
    "functions/workflows": ("workflows", ()),
    "functions/messaging": ("messaging", ()),
    "functions/console": ("console", ()),
    "functions/sandbox": ("sandbox", ()),
    "layers/vectors": ("vectors", ()),
    "layers/bulk": ("bulk", ()),
    "layers/embeddings": ("embeddings", ("vectors",)),
}
HEADER = "# Exported from uv.lock by `make lock`; do not edit.\n"
# Part of the Lambda runtime; hf-xet is only needed for downloads, which never happen there.
_EXCLUDED = {"boto3", "botocore", "s3transfer", "python-dateutil", "six", "hf-xet"}


def export(*arguments: str) -> dict[str, str]:
    """Run `uv export`. Return each requirement by package name: its pin, its markers, and the hashes of its files."""
    command = [
        os.environ.get("UV", "uv"),
        "export",
        "--frozen",
        "--no-header",
        "--no-annotate",
        "--no-emit-project",
    ]
    output = subprocess.run([*command, *arguments], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    text = "\n".join(line for line in output.splitlines() if line and not line.startswith("#"))
    # The lines with hashes are indented.
    requirements = re.split(r"\n(?=\S)", text) if text else []
    return {re.split(r"==|\[", requirement)[0].strip(): requirement for requirement in requirements}


def requirements_files() -> dict[Path, str]:
    common = {name: line for name, line in export("--no-default-groups").items() if name not in _EXCLUDED}
    files = {ROOT / "layers/common/python/requirements.txt": common}
    for folder, (group, other_groups) in FILES.items():
        present = dict(common)
        for other_group in other_groups:
            present |= export("--only-group", other_group)
        files[ROOT / folder / "requirements.txt"] = _exclude(export("--only-group", group), present)
    return {path: HEADER + "".join(f"{line}\n" for line in lines.values()) for path, lines in files.items()}


def _exclude(lines: dict[str, str], present: dict[str, str]) -> dict[str, str]:
    return {name: line for name, line in lines.items() if name not in present and name not in _EXCLUDED}


def main() -> int:
    stale = [path for path, text in requirements_files().items() if not path.is_file() or path.read_text() != text]
    if "--check" in sys.argv:
        for path in stale:
            print(f"{path.relative_to(ROOT)} is out of date. Run `make lock`.")
        return 1 if stale else 0
    for path, text in requirements_files().items():
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
