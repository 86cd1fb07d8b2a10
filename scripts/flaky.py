#!/usr/bin/env python3
"""Finds tests that depend on luck: runs them again and again on a machine that other programs keep busy, and prints
which failed how often, with what each said first. Ends with 1 when one did.

    scripts/flaky.py BUILD_FOLDER [--times N] [--burners N] [--jobs N] [CTEST_OPTION...]
    scripts/flaky.py build/release --times 20 -L unit -LE torch
"""
import argparse
import collections
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree


def burn(parent):
    """Keeps a core busy while the process `parent` lives."""
    while os.getppid() == parent:
        sum(range(100_000))


def start_burners(number):
    parent = os.getpid()
    for _ in range(number):
        if os.fork() == 0:
            burn(parent)
            os._exit(0)


def failures(report):
    """Name -> what the test said, of those that failed in a report of ctest."""
    found = {}
    for case in xml.etree.ElementTree.parse(report).iter("testcase"):
        if case.get("status") == "fail":
            found[case.get("name")] = case.findtext("system-out") or ""
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--burners", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2)
    arguments, options = parser.parse_known_args()
    start_burners(arguments.burners)
    failed, said = collections.Counter(), {}
    for time_of in range(1, arguments.times + 1):
        begun = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="exp-flaky-") as folder:
            report = pathlib.Path(folder) / "report.xml"
            command = ["ctest", "--test-dir", arguments.build, "--output-junit", report, "--no-tests=error",
                       "-j", str(arguments.jobs), *options]
            done = subprocess.run(command, capture_output=True, text=True)
            if not report.exists():
                print(done.stdout + done.stderr)
                return 2
            now = failures(report)
        for name, text in now.items():
            failed[name] += 1
            said.setdefault(name, text)
        print(f"{time_of} of {arguments.times}: {len(now)} failed, {time.monotonic() - begun:.0f} s {' '.join(now)}",
              flush=True)
    for name, times in failed.most_common():
        print(f"\n{name} failed {times} of {arguments.times} times\n{said[name].strip()}")
    print(f"\n{len(failed)} tests depend on luck")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
