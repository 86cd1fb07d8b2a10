#!/usr/bin/env python3
"""CPU seconds per clip of torchaudio's Kaldi fbank and of PaSST's mel: the counterpart of log_mel_bench.cpp.

    log_mel.py [--kind kaldi|augment_mel] [--clips 32] [--seconds 10] [--repeats 5] [--threads 1]

The last line is JSON, {"clip_s": ...}: the fastest repeat, after one that is not counted.
"""
import argparse
import json
import time

import torch
import torchaudio

parser = argparse.ArgumentParser()
parser.add_argument("--kind", choices=["kaldi", "augment_mel"], default="kaldi")
parser.add_argument("--clips", type=int, default=32)
parser.add_argument("--seconds", type=float, default=10)
parser.add_argument("--repeats", type=int, default=5)
parser.add_argument("--threads", type=int, default=1)
args = parser.parse_args()
torch.set_num_threads(args.threads)
torch.set_grad_enabled(False)


def kaldi(wave):
    """As AST's loader calls it, with its normalisation."""
    wave = wave - wave.mean()
    mel = torchaudio.compliance.kaldi.fbank(wave, htk_compat=True, sample_frequency=16000, use_energy=False,
                                            window_type="hanning", num_mel_bins=128, dither=0.0, frame_shift=10)
    return (mel + 4.27) / 10


WINDOW = torch.hann_window(800, periodic=False)
PREEMPHASIS = torch.tensor([[[-0.97, 1.0]]])


def augment_mel(wave):
    """Pre-emphasis, centred STFT, power, Kaldi's banks made anew for each call as PaSST does, log."""
    wave = torch.nn.functional.conv1d(wave.unsqueeze(1), PREEMPHASIS).squeeze(1)
    spectrum = torch.stft(wave, 1024, hop_length=320, win_length=800, center=True, normalized=False, window=WINDOW,
                          return_complex=True)
    power = torch.view_as_real(spectrum).square().sum(-1)
    banks, _ = torchaudio.compliance.kaldi.get_mel_banks(128, 1024, 32000, 0.0, 15000.0, vtln_low=100.0,
                                                         vtln_high=-500.0, vtln_warp_factor=1.0)
    banks = torch.nn.functional.pad(banks, (0, 1))
    return ((torch.matmul(banks, power) + 1e-5).log() + 4.5) / 5


run, rate = (kaldi, 16000) if args.kind == "kaldi" else (augment_mel, 32000)
torch.manual_seed(7)
waves = [0.2 * torch.rand(1, int(args.seconds * rate)) - 0.1 for _ in range(min(args.clips, 8))]
best = 1e30
for repeat in range(args.repeats + 1):
    start = time.process_time()
    for i in range(args.clips):
        mel = run(waves[i % len(waves)])
    if repeat > 0:
        best = min(best, (time.process_time() - start) / args.clips)
print(args.kind, tuple(mel.shape), torch.__version__, torchaudio.__version__)
print(json.dumps({"clip_s": best}))
