"""Bundle the sandbox's libraries for CSV, XML, mail and pages, and for sheets, with their licences beside them."""

import json
import subprocess
from pathlib import Path
from typing import Final

_ROOT: Final = Path(__file__).parents[1]
_LIBRARIES: Final = _ROOT / "functions" / "sandbox" / "libraries"
_VENDOR: Final = _ROOT / "functions" / "sandbox" / "sandbox_lambda" / "js" / "vendor"
# One of the libraries looks for a switch in the environment, which the sandbox does not have.
_HEAD: Final = "const process={env:{}};"
# As for browsers, but without what packages leave to a browser's own functions: the sandbox is none.
_PLATFORM: Final = [
    "--platform=neutral",
    "--conditions=browser",
    "--main-fields=module,main",
    "--external:@napi-rs/canvas",
]
# Modules of Node.js that libraries load and do not need here, and the one that they need.
_ABSENT: Final = ("crypto", "fs", "http", "https", "stream", "string_decoder", "url")
_REPLACED: Final = [f"--alias:{name}=./absent.js" for name in _ABSENT] + [
    "--alias:timers=./timers.js",
    "--alias:@exodus/bytes/utf16.js=./node_modules/@exodus/bytes/utf16.native.js",
]


def main() -> None:
    subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=_LIBRARIES, check=True)
    for name in ("calculator", "formats", "sheets", "pdf"):
        _bundle(name)


def _bundle(name: str) -> None:
    inputs = _LIBRARIES / "node_modules" / "inputs.json"
    module = _VENDOR / f"{name}.js"
    esbuild = [str(_LIBRARIES / "node_modules" / ".bin" / "esbuild"), f"{name}.js", "--bundle", "--format=esm"]
    settings = [*_PLATFORM, "--minify", "--legal-comments=none", f"--banner:js={_HEAD}", *_REPLACED]
    subprocess.run([*esbuild, *settings, f"--metafile={inputs}", f"--outfile={module}"], cwd=_LIBRARIES, check=True)
    files = [Path(file) for file in json.loads(inputs.read_text())["inputs"] if "node_modules" in file]
    bundled = sorted({_package_of(file) for file in files})
    module.with_suffix(".LICENSE.txt").write_text("\n".join(_licence(package) for package in bundled))


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
