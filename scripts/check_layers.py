#!/usr/bin/env python3
"""Rejects an #include that points up the layers, and a torch or third-party header where it has no place.

The table is cmake/layers.cmake itself: a folder may include its own headers and those of the folders that
its line names, directly or through them. The programs' folder has two parts: FOLDER/compute may also use what
stands behind COMPUTE. tests/NAME and bench/NAME may use what the folder NAME may, tests and benches of those
folders, tests/testing and tests/fuzz, which may use all libraries without torch. Run by ctest and by .ci/run.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else __file__).resolve()
ROOT = ROOT if ROOT.is_dir() else ROOT.parent.parent
TOPS = ("core", "data", "tracker", "sweeps", "tests", "bench")
TORCH = re.compile(r"(ATen|c10|torch|caffe2|gloo)/")
TORCH_INCLUDE = re.compile(rf'^\s*#\s*include\s+[<"]{TORCH.pattern}', re.M)
TESTING = "tests/testing"  # what all tests share: its headers with torch are for tests of torch folders
FUZZ = "tests/fuzz"
# Third-party headers that only these folders or files may include: everything else goes through their own headers.
OWNERS = {
    "toml++/": {"core/recipe"},
    "sqlite3.h": {"tracker", "sweeps", FUZZ},
    "hdf5.h": {"data", "core/evaluate", TESTING},
    "ogg/ogg.h": {"data"},
    "sndfile.h": {"data"},
    "soxr.h": {"data"},
    "CLI/": {"core/cli/arguments.cpp"},
}


class Layers:
    """Which folders there are, what each may use, and which may include torch headers."""

    def __init__(self, text):
        self.allowed, self.torch = {TESTING: {TESTING, "core/base"}}, {TESTING}
        for kind, folder, body in re.findall(r"(xp_library|xp_programs)\(\s*([\w/]+)\s+([^)]*)\)", text):
            words, _, compute = body.partition("COMPUTE")
            self.add(folder, words.split(), set())
            if kind == "xp_programs":
                self.allowed[FUZZ] = {FUZZ} | self.allowed.keys() - self.torch - {folder}
                self.add(f"{folder}/compute", compute.split() + ["TORCH"], self.allowed[folder])

    def add(self, folder, words, already):
        if "TORCH" in words:
            self.torch.add(folder)
        self.allowed[folder] = {folder} | already
        by_name = self.by_name()
        for name in (word[4:] for word in words if word.startswith("xp::")):
            if by_name.get(name, folder) == folder:
                sys.exit(f"cmake/layers.cmake: {folder} uses xp::{name}, which is not above it")
            self.allowed[folder] |= self.allowed[by_name[name]]

    def by_name(self):
        return {folder.split("/")[-1]: folder for folder in self.allowed}

    def folder_of(self, path):
        """The folder whose rules hold for a file; "" where there is none."""
        top, *rest = pathlib.PurePath(path).parts
        if top in ("tests", "bench"):
            return self.by_name().get(rest[0], "")
        return max((f for f in self.allowed if str(path).startswith(f + "/")), key=len, default="")


def is_test(path):
    return str(path).startswith(("tests/", "bench/"))


def faults_of(file, layers):
    path = file.relative_to(ROOT)
    folder = layers.folder_of(path)
    if not folder:
        yield f"{path}: this folder is not in cmake/layers.cmake"
        return
    allowed = layers.allowed[folder] | ({TESTING, FUZZ} if is_test(path) else set())
    for number, line in enumerate(file.read_text().splitlines(), 1):
        match = re.match(r'\s*#\s*include\s+([<"])([^>"]+)', line)
        if not match:
            continue
        where, name = f"{path}:{number}", match[2]
        shared = ROOT / name if name.startswith(TESTING + "/") and (ROOT / name).is_file() else None
        if TORCH.match(name) or (shared and TORCH_INCLUDE.search(shared.read_text())):
            if path.suffix in {".cu", ".cuh"}:
                yield f"{where}: a .cu file includes no torch header"
            elif folder not in layers.torch:
                yield f"{where}: {folder} is torch-free"
        for key, owners in OWNERS.items():
            if name.startswith(key) and not owners & {folder, str(path)}:
                yield f"{where}: <{name}> belongs to {', '.join(sorted(owners))}"
        if match[1] == '"':
            target = layers.folder_of(name) if "/" in name else ""
            if not target and not (ROOT / name).exists():
                yield f"{where}: include paths start at the root of the tree"
            elif is_test(name) and not is_test(path):
                yield f"{where}: a test's header outside of tests"
            elif target and target not in allowed:
                yield f"{where}: {path.parent if is_test(path) else folder} may not use {target}"


def main():
    layers = Layers((ROOT / "cmake/layers.cmake").read_text())
    files = sorted(p for top in TOPS for p in (ROOT / top).rglob("*") if p.suffix in {".h", ".cpp", ".cu", ".cuh"})
    faults = [fault for file in files for fault in faults_of(file, layers)]
    print("\n".join(faults + [f"layers: {len(files)} files, {len(faults)} faults"]))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
