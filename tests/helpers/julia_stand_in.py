"""A stand-in for the executable `julia`: it answers juliapkg's questions as Julia does, and fails as told.

STAND_IN_VERSION is the version that it claims to be, STAND_IN_UNTIL a file that it waits for, STAND_IN_FAILURE what
goes wrong: "packages" (Pkg cannot download) or "memory" (killed while it precompiles).
"""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from pathlib import Path

VERSION = os.environ.get("STAND_IN_VERSION", "1.10.8")


def main(arguments: list[str]) -> None:
    if "--version" in arguments:
        print(f"julia version {VERSION}")
        return
    project = next(a.removeprefix("--project=") for a in arguments if a.startswith("--project="))
    script = arguments[-1]
    if "Libdl.dlpath" in script:
        print("/stand-in/lib/libjulia.so\0/stand-in/bin", end="")
    elif "Pkg.add" in script:
        install(Path(project), script)
    else:
        sys.exit(f"the stand-in for Julia was asked for something new: {script}")


def install(project: Path, script: str) -> None:
    print("  Installing packages", file=sys.stderr, flush=True)
    failure = os.environ.get("STAND_IN_FAILURE")
    if failure == "packages":
        sys.exit(
            "ERROR: failed to fetch https://pkg.julialang.org/registries\n"
            "Could not resolve host: pkg.julialang.org\nStacktrace:\n  [1] pkgerror(msg::String)"
        )
    if failure == "memory":
        os.kill(os.getpid(), signal.SIGKILL)
    awaited = Path(os.environ.get("STAND_IN_UNTIL", project))
    while not awaited.exists():
        time.sleep(0.02)
    asked = (project / "Project.toml").read_text().split("[compat]")[1]
    versions = dict(re.findall(r'^(\w+) = "=?([\d.]+)', asked, re.MULTILINE))
    packages = re.findall(r'name="(\w+)", uuid="([\w-]+)"', script)
    packages.append(("CUDA", "052768ef-5323-5732-b1bb-66c8b64840ba"))  # through InvertibleNetworks
    entries = [
        f'[[deps.{name}]]\nuuid = "{uuid}"\nversion = "{versions.get(name, "2.3.1")}"\n' for name, uuid in packages
    ]
    (project / "Manifest.toml").write_text(f'julia_version = "{VERSION}"\n\n' + "\n".join(entries))


if __name__ == "__main__":  # pytest looks for doctests here too
    main(sys.argv[1:])
