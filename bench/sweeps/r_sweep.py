#!/usr/bin/env python3
"""A sweep of tome.r at inference, and the forward passes that it cannot do without. Prints one line of
JSON: wall_s, and for the sweep cpu_s.

    bench/sweeps/r_sweep.py prepare FOLDER [ARCH]    a workspace: data, and ARCH trained for a step
    bench/sweeps/r_sweep.py sweep FOLDER             `exp sweep --param tome.r=0:64:8`, its evaluations anew
    bench/sweeps/r_sweep.py forward FOLDER           the sum over r of the test clips / clips_per_s of `exp bench`

EXP: the program (default: build/release/bin/exp).
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

EXP = pathlib.Path(os.environ.get("EXP", "build/release/bin/exp")).resolve()
TEST_CLIPS, BATCH, VALUES = 40, 8, range(0, 65, 8)

# A spectrogram of 128 x 512: 12 x 50 patches. One fold of five is the test split.
RECIPE = """
experiment.name = "r-sweep"
dataset = {{ name = "synthetic", clips = {clips}, classes = 10, clip_s = 5.12, test_fold = 5, val = "none" }}
frontend = {{ kind = "kaldi", frames = 512 }}
model = {{ arch = "{arch}" }}
train = {{ epochs = 1, max_steps = 1, batch_size = 2, loss = "ce", precision = "fp32" }}
optimiser.lr = 1e-4
eval = {{ metrics = ["acc", "mAP"], batch_size = {batch} }}
stages.train = {{ do = "train", with = {{ tome.r = 0 }} }}
stages.eval = {{ do = "evaluate", checkpoint = "${{stages.train.last}}" }}
"""


def exp(folder, *words):
    done = subprocess.run([EXP, *words], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"exp {' '.join(words)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def prepare(folder, arch):
    folder.mkdir(parents=True)
    (folder / "exp.toml").write_text('default_recipe = "r.toml"\n')
    (folder / "r.toml").write_text(RECIPE.format(clips=5 * TEST_CLIPS, arch=arch, batch=BATCH))
    exp(folder, "run", "--until", "train")
    return {}


def sweep(folder):
    shutil.rmtree(folder / ".exp/cache/evaluate", ignore_errors=True)
    before, start = os.times(), time.perf_counter()
    exp(folder, "sweep", "--new", f"--param=tome.r={VALUES[0]}:{VALUES[-1]}:{VALUES.step}")
    wall, after = time.perf_counter() - start, os.times()
    made = len(list((folder / ".exp/cache/evaluate").glob("*/manifest.json")))
    if made != len(VALUES):
        sys.exit(f"{made} evaluations were made, not {len(VALUES)}")
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return {"wall_s": wall, "cpu_s": cpu}


def forward(folder):
    checkpoint, = (folder / ".exp/cache/train").glob("*/last.safetensors")
    printed = exp(folder, "--json", "bench", str(checkpoint), "--batch", str(BATCH), "--reps",
                  str(TEST_CLIPS // BATCH), "--tome", ",".join(map(str, VALUES)))
    rates = [row["metrics"]["clips_per_s"] for row in json.loads(printed)]
    return {"wall_s": sum(TEST_CLIPS / rate for rate in rates)}


def main():
    what, folder = sys.argv[1], pathlib.Path(sys.argv[2]).resolve()
    if what == "prepare":
        prepare(folder, sys.argv[3] if len(sys.argv) > 3 else "ast-small224")
        return
    print(json.dumps({"sweep": sweep, "forward": forward}[what](folder)))


if __name__ == "__main__":
    main()
