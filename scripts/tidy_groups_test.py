#!/usr/bin/env python3
"""Tests of tidy_groups.py on sources of its own."""
import json
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

SCRIPT = pathlib.Path(__file__).with_name("tidy_groups.py")


class Groups(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)

    def groups(self, sources, flags=None):
        """What is joined with what, by the names of the sources."""
        entries = []
        for name, text in sources.items():
            path = self.folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
            words = f"env A=B ccache /usr/bin/c++ {(flags or {}).get(name, '-std=c++20')} -o {name}.o -c {path}"
            entries.append({"directory": str(self.folder), "file": str(path), "command": words})
        (self.folder / "compile_commands.json").write_text(json.dumps(entries))
        command = [SCRIPT, self.folder, *(str(self.folder / name) for name in sources)]
        made = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
        listed = json.loads((self.folder / "groups/compile_commands.json").read_text())
        self.assertEqual(made, [entry["file"] for entry in listed])
        return [[pathlib.Path(file).name for file in re.findall('"(.*)"', pathlib.Path(group).read_text())] for group in made]

    def test_joins_what_is_alike(self):
        self.assertEqual(self.groups({"x/a.cpp": "int a;", "x/b.cpp": "int b;"}), [["a.cpp", "b.cpp"]])

    def test_keeps_folders_and_flags_apart(self):
        sources = {"x/a.cpp": "int a;", "y/b.cpp": "int b;", "x/c.cpp": "int c;"}
        self.assertEqual(self.groups(sources, {"x/c.cpp": "-std=c++20 -DC"}), [["a.cpp"], ["b.cpp"], ["c.cpp"]])

    def test_leaves_no_source_out(self):
        names = [f"x/{letter}{digit}.cpp" for letter in "abcdefghijklm" for digit in range(10)]
        groups = self.groups(dict.fromkeys(names, ""))
        self.assertEqual([len(group) for group in groups], [64, 64, 2])
        self.assertEqual(sum(groups, []), [pathlib.Path(name).name for name in names])


if __name__ == "__main__":
    unittest.main()
