"""What a recipe gives where nothing happens to it, and how what a workspace holds is held against that."""
import hashlib
import json
import pathlib

# Of an output: what has to be equal to the bit. Left out are times and the curves, which hold times.
RESULTS = ("*.safetensors", "predictions.h5", "logits*.h5", "shard-*.h5")
# Metrics that measure the machine.
TIMED = ("seconds", "epoch_s", "clips_per_s", "stall_p", "peak_mem_mb")


def is_timed(metric):
    return metric.startswith("system.") or metric.rsplit(".", 1)[-1] in TIMED


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def stages_of(cache):
    """Of each finished output of a cache: KIND/KEY -> {file: sha256, metric: value}."""
    found = {}
    for manifest in sorted(cache.glob("*/*/manifest.json")):
        folder = manifest.parent
        if "." in folder.name or folder.parent.name == "trash":
            continue
        result = {path.name: sha256(path) for pattern in RESULTS for path in sorted(folder.glob(pattern))}
        for name, value in json.loads(manifest.read_text()).get("metrics", {}).items():
            if not is_timed(name):
                result[name] = value
        found[f"{folder.parent.name}/{folder.name}"] = result
    return found


def metrics_of(run):
    """Of a run as `exp runs --json` tells it: metric -> its last, least and largest value and the number of points."""
    return {name: tuple(summary[key] for key in ("last", "min", "max", "n"))
            for name, summary in run["metrics"].items() if not is_timed(name)}


def differences(found, expected, what):
    """What is not as expected in a mapping of names to values, in words. What is there besides counts nothing."""
    said = []
    for name, value in expected.items():
        if name not in found:
            said.append(f"{what}: {name} is missing")
        elif found[name] != value:
            said.append(f"{what}: {name} is {found[name]}, undisturbed {value}")
    return said


def stage_differences(found, expected, excused=()):
    """Outputs that are missing or are not those of an undisturbed run. `excused`: files that were damaged on purpose
    and that nothing has used since."""
    said = []
    for stage, result in expected.items():
        if stage not in found:
            said.append(f"{stage} is missing")
            continue
        wanted = {name: value for name, value in result.items() if f"{stage}/{name}" not in excused}
        said += differences(found[stage], wanted, stage)
    return said


def damaged(cache):
    """Files of finished outputs that are not what their manifest says, as KIND/KEY/FILE."""
    found = []
    for manifest in sorted(cache.glob("*/*/manifest.json")):
        folder = manifest.parent
        if "." in folder.name:
            continue
        for file in json.loads(manifest.read_text())["files"]:
            path = folder / file["path"]
            if not path.is_file() or sha256(path) != file["sha256"]:
                found.append(str(pathlib.Path(folder.parent.name, folder.name, file["path"])))
    return found
