"""The tiny recipes that the accidents happen to, the sounds of one of them, and the commands that run them.

Each round has recipes of its own (number `round`): other sounds and seeds, so that nothing of it is cached.
"""
import array
import math
import random
import wave

RATE_HZ = 16000

BASE = """
dataset = {{ name = "synthetic", clips = {clips}, classes = 3, clip_s = 1.0, test_fold = 5, val = "none" }}
frontend = {{ kind = "kaldi", frames = 96, mel_bins = 64 }}
model = {{ arch = "ast-nano", dim = 32, depth = 2, heads = 2, fstride = 16, tstride = 16 }}
train = {{ epochs = 30, batch_size = 4, loss = "ce", precision = "fp32" }}
optimiser.lr = 1e-3
experiment.seed = {round}
eval.metrics = ["acc", "mAP"]
stages.train = {{ do = "train", with = {{ tome.r = 0 }} }}
stages.eval = {{ do = "evaluate", checkpoint = "${{stages.train.last}}" }}
[sweep]
metric = "max:eval.acc"
"""

TONES = """
extends = ["base-{round}.toml"]
experiment.name = "tones-{round}"
dataset = {{ name = "folder", root = "sounds-{round}", val = "none" }}
"""

DISTILLED = """
extends = ["base-{round}.toml"]
experiment.name = "distilled-{round}"
kd = {{ enabled = true, lambda = 0.5, logits = "${{stages.teach.output}}" }}
eval.metrics = ["acc", "mAP", "auc"]
[stages.teacher]
do = "train"
with = {{ tome.r = 0, kd.enabled = false }}
[stages.teach]
do = "teach"
checkpoint = "${{stages.teacher.last}}"
split = "train"
with = {{ tome.r = 0 }}
"""

NAMED = """
extends = ["base-{round}.toml"]
experiment.name = "{name}-{round}"
"""

QUEUED_SEEDS = (1001, 2001)


def write_sound(path, pitch_hz, rng):
    samples = array.array("h", (int(8000 * math.sin(2 * math.pi * pitch_hz * i / RATE_HZ) + rng.gauss(0, 400))
                                for i in range(RATE_HZ)))
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE_HZ, 0, "NONE", ""))
        file.writeframes(samples.tobytes())


def write(workspace, number):
    """The recipes of round `number` and the sounds of `tones`."""
    texts = {"base": BASE, "tones": TONES, "distilled": DISTILLED, "grid": NAMED, "queued": NAMED}
    for name, text in texts.items():
        (workspace / f"{name}-{number}.toml").write_text(text.format(round=number, name=name, clips=24 + number % 7))
    rng = random.Random(number)
    for split, clips in (("train", 6), ("test", 2)):
        for pitch in range(3):
            for clip in range(clips):
                path = workspace / f"sounds-{number}" / split / f"tone{pitch}" / f"{clip}.wav"
                write_sound(path, 300 * (pitch + 1) + rng.uniform(0, 20), rng)


def commands(number):
    """What runs in a round, by name: words after `exp`. All but the queue's say --json."""
    found = {
        "tones": ["run", f"tones-{number}.toml", "--json"],
        "distilled": ["run", f"distilled-{number}.toml", "--json"],
        "grid": ["sweep", f"grid-{number}.toml", "--param", "optimiser.lr=1e-3,3e-3", "--param", "tome.r=0,4",
                 "--jobs", "2", "--json"],
    }
    for seed in QUEUED_SEEDS:
        found[f"queued-{seed}"] = ["run", f"queued-{number}.toml", "--set", f"experiment.seed={seed + number}",
                                   "--json"]
    return found
