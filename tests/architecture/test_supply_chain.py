"""What is deployed is pinned by hashes, checked by the build, and listed in the software bill of materials."""

import json
import re
import subprocess

from local.layout import ROOT

REQUIREMENTS = [
    *ROOT.glob("functions/*/requirements.txt"),
    *ROOT.glob("layers/*/requirements.txt"),
    ROOT / "layers/common/python/requirements.txt",
]
_PIN = re.compile(r"^([a-z0-9-]+)(?:\[[^\]]*\])?==([^ \\]+)", re.MULTILINE)


def pins() -> set[tuple[str, str]]:
    return {(name, version) for path in REQUIREMENTS for name, version in _PIN.findall(path.read_text())}


def test_every_requirement_has_hashes_and_the_build_checks_them() -> None:
    for path in REQUIREMENTS:
        for requirement in re.split(r"\n(?=\S)", path.read_text().strip()):
            assert requirement.startswith("#") or "--hash=sha256:" in requirement, requirement
    assert "--require-hashes" in (ROOT / "scripts/build.mk").read_text()
    assert len(pins()) > 30


def test_the_bill_of_materials_lists_every_deployed_package() -> None:
    subprocess.run(["make", "--silent", "sbom"], cwd=ROOT, check=True, capture_output=True)
    document = json.loads((ROOT / ".local/sbom.cdx.json").read_text())
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.5")
    listed = {(component["name"], component["version"]) for component in document["components"]}
    assert pins() - listed == set()
