"""The transformers and CNNs that ours are measured against, as their authors run them.

AST and its token merging are timm's blocks with the attention that AST's timm 0.4.5 has (plain products and a softmax);
PaSST is hear21passt's class; mn10 is torchvision's MobileNetV3-large, of which EfficientAT's is a copy with one input
channel. AST, ToMe and EfficientAT are on no package index: what is here is written from their papers.
"""
import torch
from timm.models.vision_transformer import Block


def plan(keys, r):
    """Pairs of alternating tokens (even, odd) by the cosine of their keys; class and distillation token stay."""
    unit = keys / keys.norm(dim=-1, keepdim=True)
    scores = unit[:, ::2] @ unit[:, 1::2].transpose(1, 2)
    scores[:, 0] = -torch.inf
    scores[:, :, 0] = -torch.inf
    best, partner = scores.max(-1)
    order = best.argsort(-1, descending=True)
    stay = order[:, r:].sort(-1).values
    return stay, order[:, :r], partner.gather(1, order[:, :r])


def merge(x, stay, leave, into):
    """Sums of merged tokens; order: class, distillation, the other even ones, the other odd ones."""
    def rows(index):
        return index.unsqueeze(-1).expand(-1, -1, x.shape[2])
    even, odd = x[:, ::2], x[:, 1::2]
    kept = even.gather(1, rows(stay))
    odd = odd.scatter_reduce(1, rows(into), even.gather(1, rows(leave)), "sum")
    return torch.cat([kept[:, :1], odd[:, :1], kept[:, 1:], odd[:, 1:]], 1)


class MergingBlock(Block):
    """timm's block with r tokens merged between attention and MLP."""

    def run(self, x, size, r):
        batch, tokens, dim = x.shape
        qkv = self.attn.qkv(self.norm1(x)).reshape(batch, tokens, 3, self.attn.num_heads, -1)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        scores = (q * self.attn.scale) @ k.transpose(-2, -1)
        if size is not None:
            scores = scores + size.log()[:, None, None, :, 0]
        mixed = (scores.softmax(-1) @ v).transpose(1, 2).reshape(batch, tokens, dim)
        x = x + self.attn.proj(mixed)
        r = min(r, (tokens - 2) // 2)
        if r > 0:
            with torch.no_grad():
                pairs = plan(k.mean(1), r)
            if size is None:
                size = torch.ones_like(x[..., :1])
            x = merge(x * size, *pairs)
            size = merge(size, *pairs)
            x = x / size
        return x + self.mlp(self.norm2(x)), size


class Ast(torch.nn.Module):
    def __init__(self, frames, stride, r, classes=527, dim=768, depth=12, heads=12):
        super().__init__()
        self.r = r
        rows, columns = (128 - 16) // stride + 1, (frames - 16) // stride + 1
        self.proj = torch.nn.Conv2d(1, dim, 16, stride)
        self.special = torch.nn.Parameter(torch.randn(1, 2, dim) * 0.02)
        self.pos = torch.nn.Parameter(torch.randn(1, rows * columns + 2, dim) * 0.02)
        self.blocks = torch.nn.ModuleList(
            (MergingBlock if r > 0 else Block)(dim, heads, 4, qkv_bias=True) for _ in range(depth))
        for block in self.blocks:
            block.attn.fused_attn = False
        self.norm = torch.nn.LayerNorm(dim, eps=1e-6)
        self.head = torch.nn.Sequential(torch.nn.LayerNorm(dim), torch.nn.Linear(dim, classes))

    def forward(self, mel):
        x = self.proj(mel.unsqueeze(1)).flatten(2).transpose(1, 2)
        x = torch.cat([self.special.expand(len(x), -1, -1), x], 1) + self.pos
        size = None
        for block in self.blocks:
            if self.r > 0:
                x, size = block.run(x, size, self.r)
            else:
                x = block(x)
        x = self.norm(x)
        return self.head((x[:, 0] + x[:, 1]) / 2)


class Passt(torch.nn.Module):
    def __init__(self, frames, stride, patchout_t, patchout_f):
        super().__init__()
        from hear21passt.models.passt import PaSST, PatchEmbed
        self.net = PaSST(stride=(stride, stride), img_size=(128, frames), distilled=True, s_patchout_t=patchout_t,
                         s_patchout_f=patchout_f, embed_layer=PatchEmbed)

    def forward(self, mel):
        return self.net(mel.unsqueeze(1))[0]


class Mn10(torch.nn.Module):
    def __init__(self, classes=527):
        super().__init__()
        from torchvision.models import mobilenet_v3_large
        self.net = mobilenet_v3_large(num_classes=classes)
        self.net.features[0][0] = torch.nn.Conv2d(1, 16, 3, 2, 1, bias=False)

    def forward(self, mel):
        return self.net(mel.unsqueeze(1))
