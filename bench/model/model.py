#!/usr/bin/env python3
"""CPU seconds per clip of the originals: the counterpart of model_bench.

    model.py [--arch ast|passt|mn10] [--frames 512] [--stride 10] [--r 0] [--patchout_t 0] [--patchout_f 0]
             [--dtype fp32|bf16] [--batch 2] [--threads 1] [--train 0|1] [--repeats 3]

Needs bench/requirements-model.txt. The last line is JSON, {"clip_s": ...}: the fastest repeat.
"""
import argparse
import contextlib
import io
import json
import time

import torch

from originals import Ast, Mn10, Passt


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--arch", default="ast", choices=["ast", "passt", "mn10"])
    numbers = dict(frames=512, stride=10, r=0, patchout_t=0, patchout_f=0, batch=2, threads=1, train=0, repeats=3)
    for name, default in numbers.items():
        parser.add_argument("--" + name, type=int, default=default)
    parser.add_argument("--dtype", default="fp32", choices=["fp32", "bf16"])
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    with contextlib.redirect_stdout(io.StringIO()):  # PaSST prints while it is made and run
        if args.arch == "ast":
            model = Ast(args.frames, args.stride, args.r)
        elif args.arch == "passt":
            model = Passt(args.frames, args.stride, args.patchout_t, args.patchout_f)
        else:
            model = Mn10()
        model.train(bool(args.train))
        mel = torch.randn(args.batch, 128, args.frames)

        def step():
            cast = torch.autocast("cpu", torch.bfloat16) if args.dtype == "bf16" else contextlib.nullcontext()
            with torch.set_grad_enabled(bool(args.train)), cast:
                loss = model(mel).float().square().mean()
            if args.train:
                loss.backward()

        step()
        best = float("inf")
        for _ in range(args.repeats):
            before = time.process_time()
            step()
            best = min(best, time.process_time() - before)
    print(json.dumps({"clip_s": best / args.batch}))


if __name__ == "__main__":
    main()
