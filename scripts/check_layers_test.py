#!/usr/bin/env python3
"""Tests of check_layers.py on a tree of its own, in which one include after the other is wrong."""
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

SCRIPT = pathlib.Path(__file__).with_name("check_layers.py")
TABLE = """
xp_library(core/base PUBLIC fmt::fmt)
xp_library(tracker   PUBLIC xp::base PRIVATE SQLite::SQLite3)
xp_library(core/run  PUBLIC xp::base
                     PRIVATE xp::tracker)
xp_library(core/model TORCH PUBLIC xp::base)
xp_programs(core/cli PUBLIC xp::run PRIVATE CLI11::CLI11 COMPUTE xp::model)
"""
HEADERS = ["core/base/error.h", "tracker/store.h", "core/run/plan.h", "core/model/trunk.h", "core/cli/command.h",
           "core/cli/compute/runner.h", "tests/testing/shell.h", "tests/run/pretend.h",
           "tests/model/small.h", "bench/model/bench.h"]


class Layers(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.write("cmake/layers.cmake", TABLE)
        for header in HEADERS:
            self.write(header, "#pragma once\n")
        self.write("tests/testing/tensors.h", "#pragma once\n#include <ATen/ATen.h>\n")

    def write(self, name, text):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def check(self):
        """Exit code and faults of the tree."""
        made = subprocess.run([sys.executable, SCRIPT, self.folder], capture_output=True, text=True)
        lines = made.stdout.splitlines()
        return made.returncode, lines[:-1] or made.stderr.splitlines()

    def including(self, file, *headers):
        """The faults once `file` has these includes; it is removed again."""
        self.write(file, "\n" + "".join(f"#include {header}\n" for header in headers))
        code, faults = self.check()
        (self.folder / file).unlink()
        self.assertEqual(code, 1 if faults else 0)
        return faults

    def test_what_the_table_allows(self):
        for file, *headers in [
            ("core/run/plan.cpp", '"core/run/plan.h"', '"tracker/store.h"', '"core/base/error.h"', "<vector>"),
            ("core/cli/run.cpp", '"core/run/plan.h"', '"tracker/store.h"', '"core/cli/build_id.h"'),
            ("core/cli/arguments.cpp", "<CLI/CLI.hpp>"),
            ("core/cli/compute/run.cpp", '"core/cli/command.h"', '"core/model/trunk.h"', "<torch/torch.h>"),
            ("tests/cli/run_test.cpp", '"core/cli/command.h"', '"tests/run/pretend.h"', '"tests/testing/shell.h"'),
            ("tests/model/trunk_test.cpp", '"tests/testing/tensors.h"', "<ATen/ATen.h>"),
            ("tests/testing/tensors.cpp", '"tests/testing/tensors.h"', "<ATen/ATen.h>"),
            ("tests/fuzz/a_fuzz.cpp", '"core/run/plan.h"', '"tracker/store.h"'),
            ("bench/model/trunk_bench.cpp", '"bench/model/bench.h"', '"core/model/trunk.h"'),
        ]:
            with self.subTest(file):
                self.assertEqual(self.including(file, *headers), [])

    def test_each_wrong_include_is_found(self):
        for file, header, said in [
            ("core/base/a.cpp", '"tracker/store.h"', "core/base may not use tracker"),
            ("tracker/a.cpp", '"core/run/plan.h"', "tracker may not use core/run"),
            ("core/run/a.cpp", '"core/cli/command.h"', "core/run may not use core/cli"),
            ("core/cli/a.cpp", '"core/model/trunk.h"', "core/cli may not use core/model"),
            ("core/cli/a.cpp", '"core/cli/compute/runner.h"', "core/cli may not use core/cli/compute"),
            ("core/cli/a.cpp", "<torch/torch.h>", "core/cli is torch-free"),
            ("core/cli/a.cpp", "<CLI/CLI.hpp>", "<CLI/CLI.hpp> belongs to core/cli/arguments.cpp"),
            ("core/model/a.cu", "<ATen/ATen.h>", "a .cu file includes no torch header"),
            ("core/run/a.cpp", "<sqlite3.h>", "<sqlite3.h> belongs to sweeps, tests/fuzz, tracker"),
            ("core/run/a.cpp", '"plan.h"', "include paths start at the root of the tree"),
            ("core/run/a.cpp", '"tests/run/pretend.h"', "a test's header outside of tests"),
            ("core/run/a.cpp", '"tests/testing/shell.h"', "a test's header outside of tests"),
            ("tests/run/a_test.cpp", '"core/cli/command.h"', "tests/run may not use core/cli"),
            ("tests/run/a_test.cpp", '"tests/model/small.h"', "tests/run may not use core/model"),
            ("tests/run/a_test.cpp", "<ATen/ATen.h>", "core/run is torch-free"),
            ("tests/run/a_test.cpp", '"tests/testing/tensors.h"', "core/run is torch-free"),
            ("tests/testing/a.cpp", '"tracker/store.h"', "tests/testing may not use tracker"),
            ("tests/fuzz/a_fuzz.cpp", '"core/model/trunk.h"', "tests/fuzz may not use core/model"),
            ("bench/base/a.cpp", '"core/run/plan.h"', "bench/base may not use core/run"),
        ]:
            with self.subTest(file=file, header=header):
                self.assertEqual(self.including(file, header), [f"{file}:2: {said}"])

    def test_a_folder_that_is_not_in_the_table(self):
        for file in ("core/other/a.cpp", "tests/other/a_test.cpp"):
            self.assertEqual(self.including(file), [f"{file}: this folder is not in cmake/layers.cmake"])

    def test_a_table_that_points_upwards(self):
        for wrong in ("core/base PUBLIC xp::tracker", "core/base PUBLIC xp::base"):
            self.write("cmake/layers.cmake", TABLE.replace("core/base PUBLIC fmt::fmt", wrong))
            code, said = self.check()
            self.assertEqual(code, 1)
            self.assertIn("which is not above it", said[0])


if __name__ == "__main__":
    unittest.main()
