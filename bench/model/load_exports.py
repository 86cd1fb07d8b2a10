#!/usr/bin/env python3
"""Whether what `exp` imports and exports is what the originals' own classes hold and compute.

    bench/model/load_exports.py [EXP]      EXP: the program, default build/release/bin/exp

Models of hear21passt, timm and transformers get random weights, are saved as their authors save them, imported by `exp import`
(strict) and exported again; what is written is loaded with strict=True by the class that it names, and the logits of a
bundle's golden input are compared with those that the class computes. Ends with a code other than 0 when a name or a
number differs. Needs bench/requirements-model.txt. AST, PaSST, SSAST and TorchOnlyAST are on no package index: their files
are compared by the parity tests.
"""
import contextlib
import io
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_file

EXP = str(Path(sys.argv[1] if len(sys.argv) > 1 else "build/release/bin/exp").resolve())
LIMIT = 1e-4
failed = []


def exp(*arguments):
    done = subprocess.run([EXP, *map(str, arguments)], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"load_exports: exp {' '.join(map(str, arguments))}: {done.stdout}{done.stderr}")
    return done.stdout


def randomise(model):
    torch.manual_seed(1)
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.normal_(0, 0.04)
            if p.dim() == 1 and "norm" in name and name.endswith("weight"):
                p.add_(1)
    return model.eval()


def check(what, worst):
    good = worst < LIMIT
    print(f"{what}: largest difference {worst:.1e}{'' if good else '  WRONG'}")
    if not good:
        failed.append(what)


def carried(folder, file, *arguments):
    """What exp makes of a file: its report, its own checkpoint, a bundle's golden pair."""
    mine = folder / (file.stem + "_mine.safetensors")
    report = json.loads(exp("--json", "import", file, "--out", mine, *arguments))
    print(f"{file.name}: {report['family']}, {report['used']} tensors, missing {report['missing']}, "
          f"unexpected {report['unexpected']}")
    bundle = folder / (file.stem + "_bundle")
    exp("export", mine, "--as", "bundle", "--out", bundle)
    done = subprocess.run([sys.executable, bundle / "check.py"], capture_output=True, text=True)
    print(f"  check.py: {done.stdout.strip()}{done.stderr.strip()}")
    if done.returncode != 0:
        failed.append(file.name + " check.py")
    return mine, load_file(bundle / "golden.safetensors"), load_file(bundle / "model.safetensors")


def passt(folder):
    from hear21passt.models.passt import PaSST, PatchEmbed

    def make():
        return PaSST(stride=(10, 10), img_size=(128, 1000), distilled=True, depth=7, num_classes=11,
                     embed_layer=PatchEmbed)
    model = randomise(make())
    torch.save(model.state_dict(), folder / "passt.pt")
    mine, golden, _ = carried(folder, folder / "passt.pt", "--arch", "passt-l")
    exp("export", mine, "--as", "passt", "--out", folder / "passt_back.pt")
    back = make().eval()
    back.load_state_dict(torch.load(folder / "passt_back.pt", weights_only=True), strict=True)
    with torch.no_grad(), contextlib.redirect_stdout(io.StringIO()):
        logits = back(golden["mel"].unsqueeze(1))[0]
    check("hear21passt PaSST, strict, logits", (logits - golden["logits"]).abs().max().item())


def timm_vit(folder):
    import timm

    def make():
        return timm.create_model("deit_tiny_distilled_patch16_224", in_chans=1, img_size=(128, 1024), num_classes=0)
    model = randomise(make())
    head = randomise(torch.nn.Sequential(torch.nn.LayerNorm(192), torch.nn.Linear(192, 7)))
    state = {"module.v." + name: value for name, value in model.state_dict().items()}
    state |= {"module.mlp_head." + name: value for name, value in head.state_dict().items()}
    torch.save(state, folder / "ast.pth")
    mine, golden, _ = carried(folder, folder / "ast.pth", "--arch", "ast-tiny224", "--fstride", 16, "--tstride", 16,
                              "--frames", 1024)
    exp("export", mine, "--as", "timm", "--out", folder / "timm.pth")
    back = make().eval()
    back.load_state_dict(torch.load(folder / "timm.pth", weights_only=True), strict=True)
    with torch.no_grad():
        tokens = back.forward_features(golden["mel"].unsqueeze(1))
        logits = head((tokens[:, 0] + tokens[:, 1]) / 2)
    check("timm VisionTransformerDistilled, strict, logits", (logits - golden["logits"]).abs().max().item())
    exp("export", mine, "--as", "ast", "--out", folder / "ast_back.pth")
    again = torch.load(folder / "ast_back.pth", weights_only=True)
    check("AST's own names", max((again[name] - value).abs().max().item() for name, value in state.items()))


def transformers_ast(folder):
    from transformers import ASTConfig, ASTForAudioClassification
    config = ASTConfig(hidden_size=192, num_hidden_layers=12, num_attention_heads=3, intermediate_size=768,
                       frequency_stride=16, time_stride=16, max_length=1024, num_labels=7, layer_norm_eps=1e-6)
    model = randomise(ASTForAudioClassification(config))
    torch.save(model.state_dict(), folder / "transformers.bin")
    _, golden, _ = carried(folder, folder / "transformers.bin", "--arch", "ast-tiny224", "--fstride", 16,
                           "--tstride", 16, "--frames", 1024)
    with torch.no_grad():
        logits = model(golden["mel"].transpose(1, 2)).logits
    check("transformers ASTForAudioClassification, logits", (logits - golden["logits"]).abs().max().item())


def main():
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        for part in (passt, timm_vit, transformers_ast):
            try:
                part(Path(name))
            except ImportError as error:
                print(f"{part.__name__}: not compared, {error}")
                failed.append(part.__name__)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
