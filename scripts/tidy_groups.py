#!/usr/bin/env python3
"""Joins sources into groups that clang-tidy reads as one: a header is then looked at once a group, not once a file.

    scripts/tidy_groups.py BUILD FILE...

BUILD holds compile_commands.json. Writes BUILD/groups/ (sources that include the others, and their own
compile_commands.json) and prints the groups' names. Only files of one folder with the same flags are joined. Where two
define the same name in their unnamed namespaces, the later one is put off to another group.
"""
import concurrent.futures
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys

SIZE = 20


def flags_by_file(build):
    """The compiler's arguments of each source, without its input and its output."""
    flags = {}
    for entry in json.loads((build / "compile_commands.json").read_text()):
        words = shlex.split(entry["command"])
        compiler, output = next(i for i, word in enumerate(words) if word.endswith("++")), words.index("-o")
        kept = words[compiler + 1:output] + words[output + 2:]
        flags[entry["file"]] = tuple(word for word in kept if word not in ("-c", entry["file"]))
    return flags


def include(files):
    return "".join(f'#include "{name}"\n' for name in files)


def at_odds(files, flags, source):
    """Those that clang cannot read after the files before them."""
    source.write_text(include(files))
    command = ["clang++-14", "-fsyntax-only", "-w", "-ferror-limit=0", *flags, str(source)]
    errors = subprocess.run(command, stderr=subprocess.PIPE, text=True).stderr
    faulty = set(re.findall(r"^(\S+?):\d+:\d+: (?:fatal )?error:", errors, re.MULTILINE))
    return [name for name in files if name in faulty]


def joined(files, flags, stem):
    """The groups, as (source, flags), that these files make. What is alone is left to clang-tidy, faults and all."""
    groups = []
    while files:
        source = stem.with_name(f"{stem.name}_{len(groups)}.cpp")
        kept = files
        # clang names a clash once, so what is kept is read again.
        while len(kept) > 1 and (odd := at_odds(kept, flags, source)):
            kept = [name for name in kept if name not in odd] or odd[:1]
        source.write_text(include(kept))
        groups.append((source, flags))
        files = [name for name in files if name not in kept]
    return groups


def candidates(files, flags):
    """Files of one folder with the same flags, SIZE at most, in order."""
    by_kind = {}
    for name in files:
        by_kind.setdefault((os.path.dirname(name), flags[name]), []).append(name)
    for (folder, kind), names in by_kind.items():
        for at in range(0, len(names), SIZE):
            yield os.path.basename(folder), names[at:at + SIZE], kind


def main():
    build, files = pathlib.Path(sys.argv[1]).resolve(), [os.path.abspath(name) for name in sys.argv[2:]]
    groups = build / "groups"
    groups.mkdir(exist_ok=True)
    for old in groups.iterdir():
        old.unlink()
    flags = flags_by_file(build)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        work = [pool.submit(joined, names, kind, groups / f"{folder}_{number}")
                for number, (folder, names, kind) in enumerate(candidates(files, flags))]
        made = [group for future in work for group in future.result()]
    entries = [{"directory": str(groups), "file": str(source), "arguments": ["clang++-14", *kind, "-c", str(source)]}
               for source, kind in made]
    (groups / "compile_commands.json").write_text(json.dumps(entries, indent=1))
    print("\n".join(str(source) for source, _ in made))


if __name__ == "__main__":
    main()
