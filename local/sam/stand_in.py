"""Build a stand-in for AWS's image of the Python runtime from the programs of this machine.

It has this machine's CPython 3.13 with the standard library and the required C libraries, a shell, `awslambdaric`
(AWS's client of the runtime API) and boto3. It is not Amazon Linux and has other versions of the
C library and the programs. `sam local` adds its emulator of the runtime API, as it does to AWS's image.
"""

import platform
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterable
from pathlib import Path

from local.aws.runtime_packages import link_runtime_packages
from local.sam import CannotRun

ENVIRONMENT = {
    "LANG": "C.UTF-8",
    "PATH": "/var/lang/bin:/usr/local/bin:/usr/bin:/bin:/opt/bin",
    "LD_LIBRARY_PATH": "/var/lang/lib:/lib64:/var/task:/var/task/lib:/opt/lib",
    "LAMBDA_TASK_ROOT": "/var/task",
    "LAMBDA_RUNTIME_DIR": "/var/runtime",
}
# Programs that SAM's additions to an image and the start of the runtime call.
SHELL = ("sh", "mv", "cp", "rm", "chmod", "mkdir", "env", "cat")
# Libraries that wheels may expect on any Linux (PEP 600) or that are opened by name, so `ldd` does not list them.
EXTRA_LIBRARIES = (
    "libgcc_s.so.1", "libstdc++.so.6", "libm.so.6", "libdl.so.2", "librt.so.1", "libpthread.so.0", "libutil.so.1",
    "libresolv.so.2", "libnss_files.so.2", "libnss_dns.so.2",
)  # fmt: skip
# Like Lambda, the emulator runs functions as sbx_user1051 if that user exists.
USERS = "root:x:0:0:root:/root:/bin/sh\nsbx_user1051:x:993:990::/home/sbx_user1051:/sbin/nologin\n"
EXCLUDED = (
    "test", "idlelib", "tkinter", "_tkinter*.so", "_test*.so", "turtledemo", "ensurepip", "config-3.13*",
    "site-packages", "dist-packages",
)  # fmt: skip
IMAGE = Path(__file__).with_name("image")

_LIBRARY = re.compile(r"(?:=> )?(/\S+) \(0x")


def build(folder: Path, load: Callable[[Path], object]) -> None:
    """Create the image's files below `folder`, call `load` with the path of their archive, and remove `folder`.

    Raises:
        CannotRun: this machine is not Linux on x86_64 with `ldd`.
    """
    if sys.platform != "linux" or platform.machine() != "x86_64" or not shutil.which("ldd"):
        raise CannotRun("The stand-in is built from this machine's programs, which needs Linux on x86_64 with `ldd`.")
    shutil.rmtree(folder, ignore_errors=True)
    root = folder / "root"
    try:
        for path in ("bin", "lib64", "etc", "root", "opt", "var/task", "var/runtime", "var/lang/bin", "var/lang/lib"):
            (root / path).mkdir(parents=True)
        (root / "tmp").mkdir()
        (root / "tmp").chmod(0o1777)
        programs = [*_python(root), *_shell(root)]
        for library in _libraries(programs):
            shutil.copy(library, root / "lib64" / library.name)
        (root / "etc/passwd").write_text(USERS)
        (root / "etc/group").write_text("root:x:0:\nsbx_user1051:x:990:\n")
        (root / "etc/nsswitch.conf").write_text("hosts: files dns\n")
        _runtime(root / "var/runtime", folder / "packages")
        # AWS's image is compiled too. Otherwise each container compiles its imports and starts three times slower.
        modules = [root / "var/lang/lib/python3.13", root / "var/runtime"]
        subprocess.run([sys.executable, "-m", "compileall", "-q", "-j", "0", *modules], check=True, capture_output=True)
        archive = folder / "image.tar"
        subprocess.run(
            ["tar", "--create", "--owner=0", "--group=0", "--file", archive, "--directory", root, "."], check=True
        )
        load(archive)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _python(root: Path) -> list[Path]:
    """Copy the interpreter and the standard library. Return the files that are linked against libraries."""
    interpreter = Path(sys.executable).resolve()
    shutil.copy(interpreter, root / "var/lang/bin/python3.13")
    (root / "var/lang/bin/python3").symlink_to("python3.13")
    library, original = root / "var/lang/lib/python3.13", Path(sysconfig.get_path("stdlib"))
    shutil.copytree(original, library, ignore=shutil.ignore_patterns(*EXCLUDED))
    # The original files, because a copy in another folder may not find its libraries.
    extensions = [original / "lib-dynload" / copy.name for copy in (library / "lib-dynload").glob("*.so")]
    return [interpreter, *extensions]


def _shell(root: Path) -> list[Path]:
    programs = []
    for name in SHELL:
        program_path = shutil.which(name)
        if program_path is None:
            raise CannotRun(f"The stand-in needs the program `{name}`. Install it and run `make test-sam` again.")
        shutil.copy(Path(program_path).resolve(), root / "bin" / name)
        programs.append(root / "bin" / name)
    return programs


def _libraries(programs: Iterable[Path]) -> set[Path]:
    """Return the libraries that these programs and `EXTRA_LIBRARIES` need."""
    cache = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True, check=True).stdout
    paths_by_name = dict(re.findall(r"^\s+(\S+) \(libc6,x86-64[^)]*\) => (\S+)$", cache, re.MULTILINE))
    extra_paths = [Path(paths_by_name[name]) for name in EXTRA_LIBRARIES if name in paths_by_name]
    # ldd exits with status 1 if a program is linked statically.
    output = subprocess.run(
        ["ldd", *map(str, [*programs, *extra_paths])], capture_output=True, text=True, check=False
    ).stdout
    return {Path(path) for path in _LIBRARY.findall(output)} | set(extra_paths)


def _runtime(target: Path, packages: Path) -> None:
    link_runtime_packages(packages, "boto3", "awslambdaric")
    shutil.copytree(packages, target, dirs_exist_ok=True)
    shutil.copy(IMAGE / "bootstrap.py", target / "bootstrap.py")
    shutil.copy(IMAGE / "bootstrap", target / "bootstrap")
    (target / "bootstrap").chmod(0o755)
