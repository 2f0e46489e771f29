"""Bundle the sandbox's libraries for CSV, XML, mail and pages into one module, with their licences beside it."""

import json
import subprocess
from pathlib import Path
from typing import Final

_ROOT: Final = Path(__file__).parents[1]
_LIBRARIES: Final = _ROOT / "functions" / "sandbox" / "libraries"
_MODULE: Final = _ROOT / "functions" / "sandbox" / "sandbox_lambda" / "js" / "vendor" / "formats.js"
# One of the libraries looks for a switch in the environment, which the sandbox does not have.
_HEAD: Final = "const process={env:{}};"
# As for browsers, but without what packages leave to a browser's own functions: the sandbox is none.
_PLATFORM: Final = ["--platform=neutral", "--conditions=browser", "--main-fields=module,main"]
# Modules of Node.js that libraries load and do not need here, and the one that they need.
_ABSENT: Final = ("http", "https", "stream", "string_decoder", "url")
_REPLACED: Final = [f"--alias:{name}=./absent.js" for name in _ABSENT] + [
    "--alias:timers=./timers.js",
    "--alias:@exodus/bytes/utf16.js=./node_modules/@exodus/bytes/utf16.native.js",
]


def main() -> None:
    subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=_LIBRARIES, check=True)
    inputs = _LIBRARIES / "node_modules" / "inputs.json"
    esbuild = [str(_LIBRARIES / "node_modules" / ".bin" / "esbuild"), "formats.js", "--bundle", "--format=esm"]
    settings = [*_PLATFORM, "--minify", "--legal-comments=none", f"--banner:js={_HEAD}", *_REPLACED]
    subprocess.run([*esbuild, *settings, f"--metafile={inputs}", f"--outfile={_MODULE}"], cwd=_LIBRARIES, check=True)
    bundled = {_package_of(Path(name)) for name in json.loads(inputs.read_text())["inputs"] if "node_modules" in name}
    _MODULE.with_suffix(".LICENSE.txt").write_text("\n".join(_licence(package) for package in sorted(bundled)))


def _package_of(file: Path) -> Path:
    """Return the folder of the package that a bundled file is from.."""
    parts = file.parts
    place = len(parts) - parts[::-1].index("node_modules")
    return Path(*parts[: place + (2 if parts[place].startswith("@") else 1)])


def _licence(package: Path) -> str:
    described = json.loads((_LIBRARIES / package / "package.json").read_text())
    texts = [path.read_text() for path in sorted((_LIBRARIES / package).glob("LICEN[SC]E*"))]
    return "\n".join([f"{described['name']} {described['version']} ({described['license']})\n", *texts])


if __name__ == "__main__":
    main()
