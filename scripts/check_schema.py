#!/usr/bin/env python3
"""Holds `exp recipe schema` against a public validator (the package jsonschema): the schema is one, every shipped recipe is
valid under it, and recipes with one fault are not. Where `taplo` is installed, it lints the recipes by a
.taplo.toml that names the schema, as its language server does. Ends with 77 (skipped, for ctest) where jsonschema or
tomllib is absent.

    scripts/check_schema.py BUILD_FOLDER
"""
import copy
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

try:
    import jsonschema
    import tomllib
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)

ROOT = pathlib.Path(__file__).resolve().parent.parent

# A path into the recipe, and what is put there.
FAULTS = {
    "unknown section": (["trian"], {}),
    "unknown key": (["train", "epohcs"], 3),
    "wrong type": (["train", "epochs"], "ten"),
    "below its range": (["train", "epochs"], 0),
    "on an open end": (["optimiser", "lr"], 0.0),
    "not of the enum": (["train", "loss"], "cee"),
    "unknown key of a stage": (["stages", "train", "dose"], "train"),
    "unknown kind of stage": (["stages", "train", "do"], "trian"),
    "unknown key in with": (["stages", "train", "with"], {"tome": {"q": 3}}),
    "unknown key in a variant": (["variants", "tiny", "train"], {"epohcs": 3}),
    "extends is no list": (["extends"], "a.toml"),
    "unknown axis": (["sweep"], {"params": {"tome.q": "1,2"}}),
}


def changed(recipe, path, value):
    out = copy.deepcopy(recipe)
    at = out
    for key in path[:-1]:
        at = at.setdefault(key, {})
    at[path[-1]] = value
    return out


def taplo_faults(schema):
    """What Taplo says of the recipes, and of one with an unknown key."""
    with tempfile.TemporaryDirectory(prefix="exp-taplo-") as name:
        folder = pathlib.Path(name)
        shutil.copytree(ROOT / "recipes", folder / "recipes")
        (folder / "recipe.schema.json").write_text(json.dumps(schema))
        rule = '[[rule]]\ninclude = ["recipes/**/*.toml"]\n[rule.schema]\npath = "recipe.schema.json"\n'
        (folder / ".taplo.toml").write_text(rule)
        lint = lambda: subprocess.run(["taplo", "lint"], cwd=folder, capture_output=True, text=True)
        sound = lint()
        (folder / "recipes/bad.toml").write_text("[train]\nepohcs = 3\n")
        bad = lint()
    out = [f"taplo: {sound.stderr}"] if sound.returncode != 0 else []
    return out + ([] if "'epohcs' was unexpected" in bad.stderr else [f"taplo passes an unknown key: {bad.stderr}"])


def main():
    exp = pathlib.Path(sys.argv[1]).resolve() / "bin" / "exp"
    schema = json.loads(subprocess.run([exp, "recipe", "schema"], capture_output=True, check=True, text=True).stdout)
    kind = jsonschema.validators.validator_for(schema)
    kind.check_schema(schema)
    validator = kind(schema)
    failures = []
    recipes = sorted((ROOT / "recipes").rglob("*.toml"))
    for path in recipes:
        recipe = tomllib.loads(path.read_text())
        failures += [f"{path}: {error.json_path}: {error.message}" for error in validator.iter_errors(recipe)]
    sound = tomllib.loads((ROOT / "recipes/esc50/quickstart.toml").read_text())
    for name, (path, value) in FAULTS.items():
        if validator.is_valid(changed(sound, path, value)):
            failures.append(f"{name}: {'.'.join(path)} = {value!r} passes")
    if shutil.which("taplo"):
        failures += taplo_faults(schema)
    print(f"{kind.__name__}: {len(recipes)} recipes valid, {len(FAULTS)} faults refused" if not failures else "\n".join(failures))
    return 1 if failures or not recipes else 0


if __name__ == "__main__":
    sys.exit(main())
