#!/usr/bin/env python3
"""Wall seconds per clip of a torch DataLoader over the same shard through h5py: the counterpart of loader_bench.cpp.

    loader.py --folder DIR [--workers 0] [--batch 32] [--epochs 3]

The last line is JSON, {"clip_s": ...}: the fastest epoch, after one that is not counted.
"""
import argparse
import json
import pathlib
import time

import h5py
import torch

parser = argparse.ArgumentParser()
parser.add_argument("--folder", required=True)
parser.add_argument("--workers", type=int, default=0)
parser.add_argument("--batch", type=int, default=32)
parser.add_argument("--epochs", type=int, default=3)
args = parser.parse_args()
torch.set_num_threads(1)


class Shard(torch.utils.data.Dataset):
    """Opens the file in each worker, as h5py needs it."""

    def __init__(self, path):
        self.path, self.file = path, None
        with h5py.File(path) as shard:
            self.start = shard["sound/start"][:]
            self.label = shard["label/index"][:]

    def __len__(self):
        return len(self.start) - 1

    def __getitem__(self, i):
        if self.file is None:
            self.file = h5py.File(self.path)
            self.data = self.file["sound/data"]
        wave = torch.from_numpy(self.data[self.start[i]:self.start[i + 1]]).float().div_(32768)
        label = torch.zeros(50)
        label[self.label[i]] = 1
        return wave, label


loader = torch.utils.data.DataLoader(Shard(str(pathlib.Path(args.folder) / "shard-00000.h5")), batch_size=args.batch, shuffle=True,
                                     num_workers=args.workers, persistent_workers=args.workers > 0)
best = 1e30
for epoch in range(args.epochs + 1):
    start = time.perf_counter()
    clips = 0
    for wave, label in loader:
        clips += len(wave)
    if epoch > 0:
        best = min(best, (time.perf_counter() - start) / clips)
print(json.dumps({"clip_s": best}))
