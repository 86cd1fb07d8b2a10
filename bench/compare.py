#!/usr/bin/env python3
"""Compares two commands by interleaved pairs and says whether a goal holds.

    bench/compare.py --name fbank --ours "CMD" --theirs "CMD" [--pairs 15] [--metric cpu|wall|NAME]
                     [--goal 3.0] [--json FILE]

The commands run in turn (ours, theirs, theirs, ours, ...), so that whatever else the machine does falls on
both. The ratio is theirs / ours: above 1 we are faster. --metric NAME takes a figure that both commands
print in a last line of JSON, {"NAME": seconds, ...}: for programs whose start-up is not the question.

Printed: the ratio of medians, its 95 % bootstrap interval over pairs, wall and CPU beside it. A goal holds
when the lower end of the interval reaches it. An interval wider than 5 % of the ratio is "not resolved
here": run more pairs, or on a quieter machine. Exit code: 0 the goal holds (or none was given), 1 it does
not, 2 not resolved.
"""
import argparse
import json
import os
import random
import shlex
import statistics
import subprocess
import sys
import time

RESAMPLES = 10_000
WIDEST = 0.05


def run_once(command, metric):
    """One run: {"wall": s, "cpu": s} and, when asked, the figure of the last JSON line."""
    before = os.times()
    start = time.perf_counter()
    done = subprocess.run(shlex.split(command), stdout=subprocess.PIPE, text=True)
    wall = time.perf_counter() - start
    after = os.times()
    if done.returncode != 0:
        sys.exit(f"compare: exit code {done.returncode} from: {command}")
    figures = {"wall": wall, "cpu": after.children_user - before.children_user
               + after.children_system - before.children_system}
    if metric not in figures:
        lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
        printed = json.loads(lines[-1]) if lines else {}
        if metric not in printed:
            sys.exit(f"compare: no \"{metric}\" in the last JSON line of: {command}")
        figures[metric] = float(printed[metric])
    return figures


def interval(ours, theirs, seed=0):
    """95 % bootstrap interval of median(theirs) / median(ours) over pairs."""
    rng = random.Random(seed)
    pairs = list(zip(ours, theirs))
    ratios = []
    for _ in range(RESAMPLES):
        drawn = [pairs[rng.randrange(len(pairs))] for _ in pairs]
        ratios.append(statistics.median(t for _, t in drawn) / statistics.median(o for o, _ in drawn))
    ratios.sort()
    return ratios[int(0.025 * RESAMPLES)], ratios[int(0.975 * RESAMPLES) - 1]


def verdict(ratio, low, high, goal):
    """"holds", "does not hold" or "not resolved here", and whether the goal is met."""
    if goal is not None and low >= goal:
        return "holds"
    if (high - low) / ratio > WIDEST:
        return "not resolved here"
    return "measured" if goal is None else "does not hold"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", required=True)
    parser.add_argument("--ours", required=True)
    parser.add_argument("--theirs", required=True)
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--metric", default="cpu")
    parser.add_argument("--goal", type=float)
    parser.add_argument("--json")
    args = parser.parse_args()

    run_once(args.ours, args.metric), run_once(args.theirs, args.metric)  # warm caches
    ours, theirs = [], []
    for i in range(args.pairs):
        order = [(ours, args.ours), (theirs, args.theirs)]
        for rows, command in order if i % 2 == 0 else reversed(order):
            rows.append(run_once(command, args.metric))

    def column(rows, key):
        return [row[key] for row in rows]

    mine, other = column(ours, args.metric), column(theirs, args.metric)
    ratio = statistics.median(other) / statistics.median(mine)
    low, high = interval(mine, other)
    said = verdict(ratio, low, high, args.goal)
    result = {"name": args.name, "metric": args.metric, "pairs": args.pairs, "ratio": ratio, "low": low, "high": high,
              "ours": statistics.median(mine), "theirs": statistics.median(other), "goal": args.goal, "verdict": said}
    for key in ("wall", "cpu"):
        result[f"ours_{key}"] = statistics.median(column(ours, key))
        result[f"theirs_{key}"] = statistics.median(column(theirs, key))
    goal = "" if args.goal is None else f", goal {args.goal:g}: {said}"
    if args.goal is None and said != "measured":
        goal = f", {said}"
    print(f"{args.name}: {ratio:.2f}x [{low:.2f}, {high:.2f}] by {args.metric} over {args.pairs} pairs{goal}")
    print(f"  ours {result['ours']:.4g} s, theirs {result['theirs']:.4g} s "
          f"(wall {result['ours_wall']:.2f} / {result['theirs_wall']:.2f} s, "
          f"CPU {result['ours_cpu']:.2f} / {result['theirs_cpu']:.2f} s)")
    if args.json:
        with open(args.json, "a") as out:
            out.write(json.dumps(result) + "\n")
    return {"holds": 0, "measured": 0, "does not hold": 1, "not resolved here": 2}[said]


if __name__ == "__main__":
    sys.exit(main())
