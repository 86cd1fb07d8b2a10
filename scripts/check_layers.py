#!/usr/bin/env python3
"""Rejects an #include that points up the layers, and a torch or third-party header where it has no place.

The table is cmake/layers.cmake itself: a folder may include its own headers and those of the folders that
its xp_library line names, directly or through them. Run by ctest and by .ci/run.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else __file__).resolve()
ROOT = ROOT if ROOT.is_dir() else ROOT.parent.parent
TORCH = re.compile(r"<(ATen|c10|torch|caffe2|gloo)/")
# Third-party headers that only these folders or files may include: everything else goes through their own headers.
OWNERS = {
    "toml++/": {"core/recipe"},
    "sqlite3.h": {"tracker", "sweeps"},
    "hdf5.h": {"data", "core/evaluate"},
    "ogg/ogg.h": {"data"},
    "sndfile.h": {"data"},
    "soxr.h": {"data"},
    "CLI/": {"core/cli/arguments.cpp"},
}


def layers():
    text = (ROOT / "cmake/layers.cmake").read_text()
    table, torch = {}, set()
    for folder, body in re.findall(r"xp_library\(\s*([\w/]+)\s+([^)]*)\)", text):
        words = body.split()
        if "TORCH" in words:
            torch.add(folder)
        table[folder] = [w[5:] for w in words if w.startswith("exp::")]
    by_name = {folder.split("/")[-1]: folder for folder in table}
    allowed = {}
    for folder, names in table.items():
        allowed[folder] = {folder}
        for name in names:
            if by_name.get(name) not in allowed:
                sys.exit(f"cmake/layers.cmake: {folder} uses exp::{name}, which is not above it")
            allowed[folder] |= allowed[by_name[name]]
    return allowed, torch


def folder_of(path, folders):
    fitting = [f for f in folders if str(path).startswith(f + "/")]
    return max(fitting, key=len, default="")


def faults_of(file, allowed, torch):
    path = file.relative_to(ROOT)
    folders = set(allowed) | {"core/cli"}
    folder = folder_of(path, folders)
    if not folder:
        yield f"{path}: this folder is not in cmake/layers.cmake"
        return
    for number, line in enumerate(file.read_text().splitlines(), 1):
        match = re.match(r'\s*#\s*include\s+([<"])([^>"]+)', line)
        if not match:
            continue
        where, name = f"{path}:{number}", match[2]
        if TORCH.match("<" + name):
            if path.suffix in {".cu", ".cuh"}:
                yield f"{where}: a .cu file includes no torch header"
            elif folder not in torch and not str(path).startswith("core/cli/compute/"):
                yield f"{where}: {folder} is torch-free"
        for key, owners in OWNERS.items():
            if name.startswith(key) and not owners & {folder, str(path)}:
                yield f"{where}: <{name}> belongs to {', '.join(sorted(owners))}"
        if match[1] == '"' and folder != "core/cli":
            target = folder_of(pathlib.Path(name), folders)
            if not target and not (ROOT / name).exists():
                yield f"{where}: include paths start at the root of the tree"
            elif target and target not in allowed[folder]:
                yield f"{where}: {folder} may not use {target}"


def main():
    allowed, torch = layers()
    files = sorted(p for top in ("core", "data", "tracker", "sweeps") for p in (ROOT / top).rglob("*")
                   if p.suffix in {".h", ".cpp", ".cu", ".cuh"})
    faults = [fault for file in files for fault in faults_of(file, allowed, torch)]
    print("\n".join(faults + [f"layers: {len(files)} files, {len(faults)} faults"]))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
