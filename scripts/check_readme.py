#!/usr/bin/env python3
"""Runs every command of README.md's ```sh blocks, in order, in a scratch folder that looks like a fresh checkout.

Only what cannot be run from inside the tests is left out, by name: `make test` (it is what runs this) and the
`git clone` with its `cd`. A command that fails, or a README without commands, fails the check.

    scripts/check_readme.py BUILD_FOLDER
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
LEFT_OUT = re.compile(r"^(make test|git clone|cd )")


def commands(text):
    for block in re.findall(r"```sh\n(.*?)```", text, re.S):
        for line in block.replace("\\\n", " ").splitlines():
            line = re.sub(r"\s+#.*", "", line).strip()
            if line and not line.startswith("#"):
                yield line


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    all_commands = list(commands((ROOT / "README.md").read_text()))
    if not all_commands:
        sys.exit("README.md has no commands")
    with tempfile.TemporaryDirectory(prefix="exp-readme-") as name:
        scratch = pathlib.Path(name)
        shutil.copytree(ROOT / "recipes", scratch / "recipes")
        shutil.copy(ROOT / "exp.toml", scratch / "exp.toml")
        # `./exp` and `exp` are the programs under test, not a second build.
        os.symlink(build / "bin" / "exp", scratch / "exp")
        environment = dict(os.environ, PATH=f"{build / 'bin'}:{os.environ['PATH']}", NO_COLOR="1")
        for command in all_commands:
            if LEFT_OUT.match(command):
                print(f"left out: {command}")
                continue
            start = time.monotonic()
            done = subprocess.run(["bash", "-euo", "pipefail", "-c", command], cwd=scratch, env=environment,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            print(f"{'ok' if done.returncode == 0 else 'FAILED'} ({time.monotonic() - start:.0f} s): {command}", flush=True)
            if done.returncode != 0:
                print(done.stdout)
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
