#!/usr/bin/env python3
"""Reads the golden shard with h5py, by docs/formats/shard.md alone."""
import json
import pathlib
import sys

import h5py
import numpy

folder = pathlib.Path(sys.argv[1])
index = json.loads((folder / "index.json").read_text())
assert index["format"] == "exp-prepared" and index["version"] in (1, 2)
for entry in index["shards"]:
    with h5py.File(folder / entry["file"]) as shard:
        assert shard.attrs["rate_hz"] == index["rate_hz"] == 8000
        ids = [name.decode() for name in shard["clip/id"]]
        assert ids == ["-dash", "caf\u00e9", "third"] and len(ids) == entry["clips"]
        start = shard["sound/start"][:]
        assert numpy.array_equal(numpy.diff(start), shard["clip/samples"][:])
        second = shard["sound/data"][start[1]:start[2]]
        assert second.dtype == numpy.int16
        assert numpy.array_equal(second, 1000 - 7 * numpy.arange(20))
        first, last = shard["label/start"][1:3]
        assert shard["label/index"][first:last].tolist() == [0, 2]
        assert shard["label/value"][first:last].tolist() == [0.25, 1.0]
        assert shard["clip/split"][:].tolist() == [0, 0, 1]
        assert shard["known/index"][:].tolist() == [0, 2] * 3
        scaled = shard.attrs["version"] == 2
        assert scaled == ("clip/scale" in shard) == (index["version"] == 2)
        assert not scaled or shard["clip/scale"][:].tolist() == [1.0, 2.5, 1.0]
print("read", len(ids), "clips")
