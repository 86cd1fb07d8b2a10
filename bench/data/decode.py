#!/usr/bin/env python3
"""CPU seconds per clip of soundfile and torchaudio's resampling to mono: the counterpart of decode_bench.cpp.

    decode.py --folder DIR [--rate 16000] [--clips 200] [--repeats 3]

The last line is JSON, {"clip_s": ...}: the fastest repeat, after one that is not counted.
"""
import argparse
import json
import pathlib
import time

import soundfile
import torch
import torchaudio

parser = argparse.ArgumentParser()
parser.add_argument("--folder", required=True)
parser.add_argument("--rate", type=int, default=16000)
parser.add_argument("--clips", type=int, default=200)
parser.add_argument("--repeats", type=int, default=3)
args = parser.parse_args()
torch.set_num_threads(1)
torch.set_grad_enabled(False)
folder = pathlib.Path(args.folder)
files = sorted(str(p) for p in folder.rglob("*") if p.suffix in (".wav", ".ogg", ".flac"))[:args.clips]
resamplers = {}
best = 1e30
for repeat in range(args.repeats + 1):
    start = time.process_time()
    for file in files:
        samples, rate = soundfile.read(file, dtype="float32", always_2d=True)
        wave = torch.from_numpy(samples).mean(1)
        if rate != args.rate:
            if rate not in resamplers:
                resamplers[rate] = torchaudio.transforms.Resample(rate, args.rate)
            wave = resamplers[rate](wave)
    if repeat > 0:
        best = min(best, (time.process_time() - start) / len(files))
print(json.dumps({"clip_s": best}))
