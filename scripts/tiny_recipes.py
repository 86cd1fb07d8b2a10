#!/usr/bin/env python3
"""Runs `--variant tiny` of the shipped recipes to the end, each in a fresh workspace, over the small sets of $EXP_DATA.

A recipe whose name ends in _sweep runs as the sweep that it describes. Prints the table of recipes/README.md: seconds of
the CPU from an empty workspace, and the headline metric. Ends with 1 when a recipe fails, with 77 (skipped, for ctest)
without the data.

    scripts/tiny_recipes.py [--threads N] BUILD_FOLDER [RECIPE...]
"""
import argparse
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
SETS = ("audioset_mini", "esc10", "speech_commands")


def shipped():
    return sorted(path for path in (ROOT / "recipes").glob("*/*.toml") if not path.name.startswith("_"))


def metric_text(name, metrics, leaves):
    for leaf in leaves:
        if leaf in metrics:
            spread = f" ± {metrics[leaf + '_std']:.3f}" if leaf + "_std" in metrics else ""
            return f"{name}.{leaf} {metrics[leaf]:.3f}{spread}"
    return ""


def of_run(said, leaves):
    stages = {stage["name"]: stage["metrics"] for stage in json.loads(said)["stages"]}
    for name in ("kfold", "eval"):
        if name in stages:
            return metric_text(name, stages[name], leaves)
    return "(no labels)"  # ssast_pretrain


def of_sweep(said, leaves):
    trials = json.loads(said)["trials"]
    bad = [trial for trial in trials if trial["state"] != "done"]
    if bad:
        raise RuntimeError(f"{len(bad)} of {len(trials)} trials are not done: {bad[0]['error']}")
    ends = []
    for trial in (trials[0], trials[-1]):
        stages = {name.rsplit(".", 1)[0] for name in trial["metrics"]}
        goal = {name.removeprefix("eval."): value for name, value in trial["metrics"].items() if name.startswith("eval.")}
        values = ", ".join(f"{key} {value}" for key, value in trial["values"].items())
        ends.append(f"{metric_text('eval', goal, leaves)} ({values})" if "eval" in stages else values)
    return f"{len(trials)} trials: " + " to ".join(ends)


def cpu_seconds():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def run(program, recipe, threads):
    sweep = recipe.stem.endswith("_sweep")
    with tempfile.TemporaryDirectory(prefix="exp-tiny-") as folder:
        (pathlib.Path(folder) / "exp.toml").write_text(f"runtime.threads = {threads}\n" if threads else "")
        command = [program, "--quiet", "--json", "sweep" if sweep else "run", recipe, "--variant", "tiny"]
        cpu = cpu_seconds()
        done = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        seconds = f"{cpu_seconds() - cpu:.0f}"
        if done.returncode != 0:
            raise RuntimeError(f"exit code {done.returncode}\n{done.stdout}{done.stderr}")
        leaves = ("mAP", "acc") if recipe.parent.name == "audioset" else ("acc", "mAP")
        return seconds, (of_sweep if sweep else of_run)(done.stdout, leaves)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, help="of the CPU, for each recipe (default: all cores)")
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("recipe", nargs="*", type=pathlib.Path)
    arguments = parser.parse_args()
    data = os.environ.get("EXP_DATA", "")
    missing = [name for name in SETS if not (pathlib.Path(data) / name).is_dir()]
    if not data or missing:
        print("skipped: EXP_DATA is not set" if not data else f"skipped: no {', '.join(missing)} in EXP_DATA")
        return 77
    program = arguments.build.resolve() / "bin" / "exp"
    recipes = [path.resolve() for path in arguments.recipe] or shipped()
    failed = 0
    print("| recipe | CPU seconds | metric |\n| --- | --- | --- |")
    for recipe in recipes:
        name = f"{recipe.parent.name}/{recipe.stem}"
        try:
            seconds, metric = run(program, recipe, arguments.threads)
            print(f"| {name} | {seconds} | {metric} |", flush=True)
        except RuntimeError as error:
            failed += 1
            print(f"| {name} | FAILED | {error} |", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
