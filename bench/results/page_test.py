"""Tests of the page of results; run by ctest."""
import pathlib
import re
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import page  # noqa: E402


def group(r, mean, std, change=None):
    return {"values": {"tome.r": r, "model.arch": "ast-nano"}, "runs": ["01M7ZAPDQ3DJ79ZE9Y3R08NW7J"],
            "metrics": {"eval.acc": {"mean": mean, "std": std}, "eval.gflop": {"mean": 4 - r / 8, "std": None},
                        "eval.clips_per_s": {"mean": 50.0 + r, "std": 1.0}},
            "against_first": {"eval.acc": change} if change else {}}


REPORT = {"keys": ["tome.r"],
          "groups": [group(0, 0.8612, 0.0123), group(8, 0.85, 0.02, {"difference": -0.011, "lo": -0.05, "hi": 0.03}),
                     group(16, 0.7, 0.02, {"difference": -0.161, "lo": -0.2, "hi": -0.12})],
          "runs": [{"uid": "01M7ZAPDQ3DJ79ZE9Y3R08NW7J"}]}
UNCOUNTED = {"uid": "01M7ZAPDQ3DJ79ZE9Y3R0PREEM"}


class PageOfResults(unittest.TestCase):
    def setUp(self):
        self.asked, self.drawn = [], []
        self.page = page.Page(self.ask, lambda *words: self.drawn.append(words))

    def ask(self, name, metrics):
        self.asked.append((name, tuple(metrics)))
        return REPORT

    def test_table_has_a_row_a_configuration_and_says_what_is_not_measurable(self):
        self.assertEqual(self.page.fill("{{table sweep eval.acc}}").split("\n"), [
            "| tome.r | eval.acc | against the first |",
            "| --- | ---: | ---: |",
            "| 0 | 0.861 ± 0.012 |  |",
            "| 8 | 0.850 ± 0.020 | -0.011 [-0.050, +0.030], no measurable effect |",
            "| 16 | 0.700 ± 0.020 | -0.161 [-0.200, -0.120] |"])
        self.assertEqual(self.asked, [("sweep", ("eval.acc",))])

    def test_values_are_of_one_configuration(self):
        self.assertEqual(self.page.fill("at r 16 {{value s eval.acc tome.r=16}}."), "at r 16 0.700 ± 0.020.")
        with self.assertRaisesRegex(SystemExit, "s eval.acc model.arch=ast-nano: 3 configurations, one is wanted"):
            self.page.fill("{{value s eval.acc model.arch=ast-nano}}")

    def test_no_change_at_all_has_no_digits(self):
        self.assertEqual(page.effect({"difference": 0.0, "lo": 0.0, "hi": 0.0}), "0 in every seed, no measurable effect")

    def test_ratios_are_of_the_first(self):
        self.assertEqual(self.page.fill("{{ratios s eval.clips_per_s eval.gflop}}").split("\n"), [
            "| tome.r | times as fast | eval.gflop of the first / of this |", "| --- | ---: | ---: |",
            "| 0 | 1.00 | 1.00 |", "| 8 | 1.16 | 1.33 |", "| 16 | 1.32 | 2.00 |"])

    def test_runs_and_pictures(self):
        self.page.ask = lambda name, metrics: {**REPORT, "runs": [*REPORT["runs"], UNCOUNTED]}
        self.assertEqual(self.page.fill("{{runs s}}"), "3R08NW7J")
        self.assertEqual(self.page.fill("{{chart a.svg s tome.r eval.acc}}"), "![eval.acc over tome.r](figures/a.svg)")
        self.assertEqual(self.drawn, [("a.svg", "s", "tome.r", "eval.acc")])

    def test_the_text_holds_no_result(self):
        text = (pathlib.Path(__file__).parent / "page.md").read_text()
        self.assertIsNone(re.search(r"\d ± \d|0\.\d{3}", re.sub(r"\{\{[^}]*\}\}", "", text)))


if __name__ == "__main__":
    unittest.main()
