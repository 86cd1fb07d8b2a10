#!/usr/bin/env python3
"""CPU seconds per clip of AST as its authors run it (timm blocks, eager attention): the counterpart of model_bench.

    model.py [--frames 512] [--stride 10] [--dtype fp32|bf16] [--batch 2] [--threads 1] [--train 0|1] [--repeats 3]

Needs torch and timm (bench/requirements.txt). The last line is JSON, {"clip_s": ...}.
"""
import argparse
import contextlib
import json
import time

import torch
from timm.models.vision_transformer import Block


class Ast(torch.nn.Module):
    def __init__(self, frames, stride, classes=527, dim=768, depth=12, heads=12):
        super().__init__()
        rows, columns = (128 - 16) // stride + 1, (frames - 16) // stride + 1
        self.proj = torch.nn.Conv2d(1, dim, 16, stride)
        self.special = torch.nn.Parameter(torch.randn(1, 2, dim) * 0.02)
        self.pos = torch.nn.Parameter(torch.randn(1, rows * columns + 2, dim) * 0.02)
        self.blocks = torch.nn.ModuleList(Block(dim, heads, 4, qkv_bias=True) for _ in range(depth))
        for block in self.blocks:
            block.attn.fused_attn = False  # timm 0.4.5, which AST pins, has no fused attention
        self.norm = torch.nn.LayerNorm(dim, eps=1e-6)
        self.head = torch.nn.Sequential(torch.nn.LayerNorm(dim), torch.nn.Linear(dim, classes))

    def forward(self, mel):
        x = self.proj(mel.unsqueeze(1)).flatten(2).transpose(1, 2)
        x = torch.cat([self.special.expand(len(x), -1, -1), x], 1) + self.pos
        for block in self.blocks:
            x = block(x)
        x = self.norm(x)
        return self.head((x[:, 0] + x[:, 1]) / 2)


def main():
    parser = argparse.ArgumentParser()
    for name, default in dict(frames=512, stride=10, batch=2, threads=1, train=0, repeats=3).items():
        parser.add_argument("--" + name, type=int, default=default)
    parser.add_argument("--dtype", default="fp32", choices=["fp32", "bf16"])
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    model = Ast(args.frames, args.stride).train(bool(args.train))
    mel = torch.randn(args.batch, 128, args.frames)
    cast = torch.autocast("cpu", torch.bfloat16) if args.dtype == "bf16" else contextlib.nullcontext()

    def step():
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
