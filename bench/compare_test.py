"""Tests of the benchmark harness; run by ctest."""
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import compare  # noqa: E402

SCRIPT = pathlib.Path(compare.__file__)


def printing(value):
    return f"{sys.executable} -c \"print('noise'); print('{{\\\"s\\\": {value}}}')\""


class Compare(unittest.TestCase):
    def run_script(self, *words):
        return subprocess.run([sys.executable, SCRIPT, "--name", "n", "--pairs", "3", "--metric", "s", *words],
                              capture_output=True, text=True)

    def test_interval_of_a_constant_ratio_is_a_point(self):
        low, high = compare.interval([1.0, 2.0, 3.0], [2.0, 4.0, 6.0])
        self.assertLessEqual(low, 2.0)
        self.assertGreaterEqual(high, 2.0)
        self.assertEqual(compare.interval([1.0] * 5, [3.0] * 5), (3.0, 3.0))

    def test_verdicts(self):
        self.assertEqual(compare.verdict(3.2, 3.1, 3.25, 3.0), "holds")
        self.assertEqual(compare.verdict(2.9, 2.88, 2.95, 3.0), "does not hold")
        self.assertEqual(compare.verdict(3.2, 2.5, 3.9, 3.0), "not resolved here")
        self.assertEqual(compare.verdict(3.2, 2.5, 3.9, None), "not resolved here")
        self.assertEqual(compare.verdict(3.2, 3.19, 3.21, None), "measured")

    def test_printed_figure_decides(self):
        done = self.run_script("--ours", printing(1), "--theirs", printing(4), "--goal", "3")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("4.00x [4.00, 4.00] by s over 3 pairs, goal 3: holds", done.stdout)
        self.assertEqual(self.run_script("--ours", printing(2), "--theirs", printing(4), "--goal", "3").returncode, 1)

    def test_faults_are_said(self):
        done = self.run_script("--ours", "false", "--theirs", printing(1))
        self.assertIn("exit code 1 from: false", done.stderr)
        done = self.run_script("--ours", "true", "--theirs", printing(1))
        self.assertIn('no "s" in the last JSON line of: true', done.stderr)

    def test_result_is_appended_as_json(self):
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / "r.jsonl"
            self.run_script("--ours", printing(1), "--theirs", printing(2), "--json", str(file))
            self.assertEqual(json.loads(file.read_text())["ratio"], 2.0)


if __name__ == "__main__":
    unittest.main()
