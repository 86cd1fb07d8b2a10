#!/usr/bin/env python3
"""Random accidents happen to trainings, sweeps, a queue, gc and reports that go on at once in one workspace; then the
same commands are given again, and nothing that was acknowledged may be lost, nothing said may be untrue, and every
result has to be that of an undisturbed run. kinds.py lists the accidents, session.py says how a round goes.

The same seed gives the same accidents at the same moments; which process they meet is up to the scheduler.

    scripts/accidents BUILD_FOLDER [--seed N] [--count N] [--only KIND]... [--keep FOLDER] [-v]
"""
import argparse
import os
import pathlib
import random
import sys
import tempfile
import time

import kinds
import session as sessions

ACCIDENTS_A_ROUND = 8


def table(counts):
    columns = ("done", "survived", "stopped", "killed", "refused", "wrong", "crashed")
    lines = ["{:26}".format("accident") + "".join(f"{name:>10}" for name in columns)]
    for kind, counter in sorted(counts.items()):
        lines.append(f"{kind:26}" + "".join(f"{counter[name]:>10}" for name in columns))
    return "\n".join(lines)


def run(arguments, folder):
    say = print if arguments.verbose else lambda *_: None
    session = sessions.Session(str(arguments.build.resolve() / "bin" / "exp"), folder, arguments.seed, say,
                               keep=arguments.keep is not None)
    if not session.small_disk:
        print("no disk of its own may be mounted here: no disk gets full")
    waiting = kinds.draw(arguments.seed, arguments.count, arguments.only)
    number, begun, given_up = 0, time.monotonic(), 0
    tries = {}
    try:
        while waiting:
            now, waiting = waiting[:ACCIDENTS_A_ROUND], waiting[ACCIDENTS_A_ROUND:]
            print(f"round {number} ({time.monotonic() - begun:.0f} s): {' '.join(kind for _, kind in now)}", flush=True)
            for missed in session.run_round(number, now):
                tries[missed] = tries.get(missed, 0) + 1
                if tries[missed] < 4:
                    waiting.append(missed)
                else:
                    given_up += 1
            number += 1
    finally:
        session.close()
    print(table(session.counts))
    done = sum(counter["done"] for counter in session.counts.values())
    print(f"seed {arguments.seed}: {done} accidents in {number} rounds, {given_up} found nothing to happen to, "
          f"{len(session.faults)} faults, {time.monotonic() - begun:.0f} s")
    for line, times in session.refusals.most_common():
        print(f"  refused {times} times: {line}")
    for text in session.faults:
        print(f"FAULT in {text}")
    return 1 if session.faults else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--seed", type=int, default=None, help="default: another one each time")
    parser.add_argument("--count", type=int, default=200, help="of accidents (default 200)")
    parser.add_argument("--only", action="append", choices=sorted(kinds.KINDS), help="accidents of this kind alone")
    parser.add_argument("--keep", type=pathlib.Path, help="an empty folder for all that is made, kept afterwards")
    parser.add_argument("-v", "--verbose", action="store_true")
    arguments = parser.parse_args()
    if arguments.seed is None:
        arguments.seed = random.randrange(10**6)
    print(f"seed {arguments.seed}, {arguments.count} accidents", flush=True)
    if arguments.keep:
        arguments.keep.mkdir(parents=True, exist_ok=True)
        return run(arguments, arguments.keep.resolve())
    with tempfile.TemporaryDirectory(prefix="exp-accidents-") as folder:
        return run(arguments, pathlib.Path(folder))


if __name__ == "__main__":
    os.umask(0o022)
    sys.exit(main())
