#!/usr/bin/env python3
"""Joins sources into groups that clang-tidy reads as one: a header is then looked at once a group, not once a file.

    scripts/tidy_groups.py BUILD FILE...

BUILD holds compile_commands.json. Writes BUILD/groups/ (sources that include the others, and their own
compile_commands.json) and prints the groups' names. Only files of one folder with the same flags are joined: they
define no name twice (XP_UNITY in cmake/XpLibrary.cmake).
"""
import json
import os
import pathlib
import shlex
import shutil
import sys

SIZE = 64


def flags_by_file(build):
    """The compiler's arguments of each source, without its input and its output."""
    flags = {}
    for entry in json.loads((build / "compile_commands.json").read_text()):
        words = shlex.split(entry["command"])
        compiler, output = next(i for i, word in enumerate(words) if word.endswith("++")), words.index("-o")
        kept = words[compiler + 1:output] + words[output + 2:]
        flags[entry["file"]] = tuple(word for word in kept if word not in ("-c", entry["file"]))
    return flags


def grouped(files, flags):
    """Files of one folder with the same flags, SIZE at most, in order: (folder, files, flags)."""
    by_kind = {}
    for name in files:
        by_kind.setdefault((os.path.dirname(name), flags[name]), []).append(name)
    for (folder, kind), names in by_kind.items():
        for at in range(0, len(names), SIZE):
            yield os.path.basename(folder), names[at:at + SIZE], kind


def main():
    build, files = pathlib.Path(sys.argv[1]).resolve(), [os.path.abspath(name) for name in sys.argv[2:]]
    shutil.rmtree(build / "groups", ignore_errors=True)
    (build / "groups").mkdir()
    entries = []
    for number, (folder, names, kind) in enumerate(grouped(files, flags_by_file(build))):
        source = build / "groups" / f"{folder}_{number}.cpp"
        source.write_text("".join(f'#include "{name}"\n' for name in names))
        entries.append({"directory": str(source.parent), "file": str(source),
                        "arguments": ["clang++-14", *kind, "-c", str(source)]})
    (build / "groups/compile_commands.json").write_text(json.dumps(entries, indent=1))
    print("\n".join(entry["file"] for entry in entries))


if __name__ == "__main__":
    main()
