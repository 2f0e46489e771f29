"""A stand-in for AWS's image of the Python runtime, made of what this machine has.

This machine's own CPython 3.13 with its standard library and the C libraries it needs, a shell, `awslambdaric` (AWS's
own client of the runtime API) and boto3. What it is not: Amazon Linux, its C library and its versions of things.
`sam local` adds its emulator of the runtime API to it as it does to AWS's image.
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
# What SAM's additions to an image, and the runtime's own start, call.
SHELL = ("sh", "mv", "cp", "rm", "chmod", "mkdir", "env", "cat")
# What wheels may expect of any Linux (PEP 600), and what is opened by its name: no dependency leads to these.
ALSO = (
    "libgcc_s.so.1", "libstdc++.so.6", "libm.so.6", "libdl.so.2", "librt.so.1", "libpthread.so.0", "libutil.so.1",
    "libresolv.so.2", "libnss_files.so.2", "libnss_dns.so.2",
)  # fmt: skip
# The emulator runs functions as this user where it knows it, as Lambda does.
USERS = "root:x:0:0:root:/root:/bin/sh\nsbx_user1051:x:993:990::/home/sbx_user1051:/sbin/nologin\n"
LEFT_OUT = (
    "test", "idlelib", "tkinter", "_tkinter*.so", "_test*.so", "turtledemo", "ensurepip", "config-3.13*",
    "site-packages", "dist-packages",
)  # fmt: skip
IMAGE = Path(__file__).with_name("image")

_LIBRARY = re.compile(r"(?:=> )?(/\S+) \(0x")


def build(folder: Path, load: Callable[[Path], object]) -> None:
    """Lay the image out below `folder`, give `load` the archive of it, and remove both.

    Raises:
        CannotRun: this machine is not one whose programs run in the image.
    """
    if sys.platform != "linux" or platform.machine() != "x86_64" or not shutil.which("ldd"):
        raise CannotRun("The stand-in is made of this machine's own programs, which takes Linux on x86_64 with `ldd`.")
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
        # As AWS's is: each container would compile what it imports, and a function's start takes three times as long.
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
    """Copy the interpreter; answers what of it is linked against libraries."""
    interpreter = Path(sys.executable).resolve()
    shutil.copy(interpreter, root / "var/lang/bin/python3.13")
    (root / "var/lang/bin/python3").symlink_to("python3.13")
    library, original = root / "var/lang/lib/python3.13", Path(sysconfig.get_path("stdlib"))
    shutil.copytree(original, library, ignore=shutil.ignore_patterns(*LEFT_OUT))
    # The originals, since a copy may not find its libraries from where it lies.
    extensions = [original / "lib-dynload" / copy.name for copy in (library / "lib-dynload").glob("*.so")]
    return [interpreter, *extensions]


def _shell(root: Path) -> list[Path]:
    programs = []
    for name in SHELL:
        found = shutil.which(name)
        if found is None:
            raise CannotRun(f"The stand-in needs `{name}`, and this machine has none.")
        shutil.copy(Path(found).resolve(), root / "bin" / name)
        programs.append(root / "bin" / name)
    return programs


def _libraries(programs: Iterable[Path]) -> set[Path]:
    """What the dynamic linker would load for these, and for the libraries that nothing names."""
    cache = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True, check=True).stdout
    named = dict(re.findall(r"^\s+(\S+) \(libc6,x86-64[^)]*\) => (\S+)$", cache, re.MULTILINE))
    also = [Path(named[name]) for name in ALSO if name in named]
    # Of a program that is linked statically, ldd says so with a status of 1.
    said = subprocess.run(["ldd", *map(str, [*programs, *also])], capture_output=True, text=True, check=False).stdout
    return {Path(path) for path in _LIBRARY.findall(said)} | set(also)


def _runtime(target: Path, packages: Path) -> None:
    link_runtime_packages(packages, "boto3", "awslambdaric")
    shutil.copytree(packages, target, dirs_exist_ok=True)
    shutil.copy(IMAGE / "bootstrap.py", target / "bootstrap.py")
    shutil.copy(IMAGE / "bootstrap", target / "bootstrap")
    (target / "bootstrap").chmod(0o755)
