#!/usr/bin/env python3
"""What scripts/accidents looks at: a fault that is planted is noticed, and what is right is not called a fault."""
import copy
import hashlib
import json
import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "accidents"))
import checks  # noqa: E402
import jobs  # noqa: E402
import kinds  # noqa: E402
import truth  # noqa: E402


def complaint(code, out="", err="", words=("run", "a.toml"), **more):
    return jobs.verdict(jobs.End(list(words), code, out, err, **more))[1]


class Ends(unittest.TestCase):
    def test_right_ends(self):
        self.assertIsNone(complaint(0, '{"run": "1"}', words=("run", "--json")))
        self.assertIsNone(complaint(1, err="error: the disk is full\n", accidents=("full_disk",)))
        self.assertIsNone(complaint(75, accidents=("terminate",)))
        self.assertIsNone(complaint(-9, signals=(9,)))
        self.assertIsNone(complaint(3, err="error: no run has a metric yet\n", words=("report",)))
        self.assertIsNone(complaint(1, err="error: tracking of run 1: 2 points are lost\nerror: the disk is full\n",
                                    accidents=("full_disk",)))

    def test_wrong_ends(self):
        touched = {"accidents": ("full_disk",)}
        for planted in (
            complaint(-11, **touched),
            complaint(-7, **touched),
            complaint(-9),
            complaint(4, err="error: a bug\n", **touched),
            complaint(0, err="terminate called after throwing an instance of\n"),
            complaint(0, "not JSON", words=("run", "--json")),
            complaint(1, err="error: the disk is full\n"),
            complaint(1, err="", **touched),
            complaint(1, err="error: one\nerror: two\n", **touched),
            complaint(75),
            complaint(0, words=("gc",), code_wanted=3),
        ):
            self.assertIsNotNone(planted)


class Results(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.cache = pathlib.Path(self.folder.name)
        self.stage = self.cache / "train" / ("0" * 32)
        self.stage.mkdir(parents=True)
        (self.stage / "last.safetensors").write_bytes(bytes(range(200)))
        self.manifest = {"metrics": {"acc": 0.5, "seconds": 1.0},
                         "files": [{"path": "last.safetensors",
                                    "sha256": hashlib.sha256(bytes(range(200))).hexdigest()}]}
        self.write()
        self.expected = truth.stages_of(self.cache)

    def tearDown(self):
        self.folder.cleanup()

    def write(self):
        (self.stage / "manifest.json").write_text(json.dumps(self.manifest))

    def said(self):
        return truth.stage_differences(truth.stages_of(self.cache), self.expected)

    def test_equal(self):
        self.manifest["metrics"]["seconds"] = 2.0
        self.write()
        self.assertEqual(self.said(), [])
        self.assertEqual(truth.damaged(self.cache), [])

    def test_other_weights(self):
        changed = bytearray(range(200))
        changed[100] ^= 1
        (self.stage / "last.safetensors").write_bytes(changed)
        self.assertEqual(len(self.said()), 1)
        self.assertEqual(truth.damaged(self.cache), [f"train/{'0' * 32}/last.safetensors"])

    def test_other_metric(self):
        self.manifest["metrics"]["acc"] = 0.5000001
        self.write()
        self.assertEqual(len(self.said()), 1)

    def test_no_stage(self):
        (self.stage / "manifest.json").unlink()
        self.assertEqual(len(self.said()), 1)


RUN = {"uid": "1", "name": "tones-0", "status": "done", "tags": ["seen"], "created": "2026-01-01T00:00:00Z",
       "started": "2026-01-01T00:00:00Z", "ended": "2026-01-01T00:00:05Z",
       "metrics": {"eval.acc": {"last": 0.5, "min": 0.5, "max": 0.5, "n": 1},
                   "train.loss": {"last": 1.0, "min": 1.0, "max": 3.0, "n": 20}}}


def changed(path, value):
    run = copy.deepcopy(RUN)
    at = run
    for name in path[:-1]:
        at = at[name]
    at[path[-1]] = value
    return run


class Promises(unittest.TestCase):
    def setUp(self):
        self.ledger = checks.Ledger()
        self.ledger.done({"run": "1", "stages": [{"name": "eval", "metrics": {"acc": 0.5, "seconds": 3}}]})
        self.ledger.queue("1")
        self.ledger.tag("1", "seen")

    def test_kept(self):
        self.assertEqual(self.ledger.lost([RUN]), [])

    def test_broken(self):
        self.assertEqual(len(self.ledger.lost([])), 2)
        self.assertEqual(len(self.ledger.lost([changed(["status"], "lost")])), 1)
        self.assertEqual(len(self.ledger.lost([changed(["metrics", "eval.acc", "last"], 0.4)])), 1)
        self.assertEqual(len(self.ledger.lost([changed(["metrics"], {})])), 1)
        self.assertEqual(len(self.ledger.lost([changed(["tags"], [])])), 1)

    def test_metrics(self):
        expected = [truth.metrics_of(RUN)]
        fewer = changed(["metrics", "train.loss", "n"], 19)
        self.assertEqual(checks.wrong_metrics(RUN, expected, cut=False), [])
        self.assertEqual(len(checks.wrong_metrics(fewer, expected, cut=False)), 1)
        self.assertEqual(checks.wrong_metrics(fewer, expected, cut=True), [])
        self.assertEqual(len(checks.wrong_metrics(changed(["metrics"], {}), expected, cut=True)), 1)

    def test_times(self):
        begun = checks.at(RUN["created"])
        self.assertEqual(checks.untrue_times(RUN, begun, begun + 9, clock_was_set=False), [])
        self.assertEqual(len(checks.untrue_times(RUN, begun + 60, begun + 90, clock_was_set=False)), 3)
        backwards = changed(["ended"], "2025-12-31T23:59:00Z")
        self.assertEqual(len(checks.untrue_times(backwards, begun - 99, begun + 9, clock_was_set=True)), 1)


class Plan(unittest.TestCase):
    def test_a_seed_gives_the_same_accidents_again(self):
        drawn = kinds.draw(7, 3 * len(kinds.KINDS), None)
        self.assertEqual(drawn, kinds.draw(7, 3 * len(kinds.KINDS), None))
        self.assertNotEqual(drawn, kinds.draw(8, 3 * len(kinds.KINDS), None))
        names = [kind for _, kind in drawn]
        self.assertEqual({names.count(kind) for kind in kinds.KINDS}, {3})


if __name__ == "__main__":
    unittest.main()
