#!/usr/bin/env python3
"""Compares THIRD_PARTY.md with the libraries that the built programs name in their dynamic sections.

    scripts/check_third_party.py PROGRAM...
"""
import pathlib
import re
import subprocess
import sys


def needed(program):
    out = subprocess.run(["readelf", "-d", program], capture_output=True, text=True, check=True).stdout
    return [re.sub(r"\.so.*", ".so", name) for name in re.findall(r"NEEDED.*\[(.+?)\]", out)]


def main():
    root = pathlib.Path(__file__).resolve().parent.parent
    table = (root / "THIRD_PARTY.md").read_text()
    listed = {re.sub(r"-[0-9a-f]{8}$", "", name) for name in re.findall(r"[\w+.-]+?\.so", table)}
    faults = [f"{program} loads {name}, which THIRD_PARTY.md does not list"
              for program in sys.argv[1:] for name in needed(program) if name not in listed]
    print("\n".join(faults or [f"third-party: {len(sys.argv) - 1} programs, all listed"]))
    return 1 if faults or len(sys.argv) < 2 else 0


if __name__ == "__main__":
    sys.exit(main())
