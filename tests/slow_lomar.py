"""LoMaR's encoder by its formulas, slowly and in float64, on this project's names of weights.

Chen et al. 2022: a ViT on one window of patches, mask tokens in place of hidden patches, no
absolute positions, contextual relative positions on keys (Wu et al. 2021, iRPE, product method).
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

ALPHA, BETA, GAMMA = 1.9, 3.8, 15.2


def piecewise(distance: int) -> int:
    """Nearby distances as they are, far ones logarithmically closer."""
    if abs(distance) <= ALPHA:
        return round(distance)
    far = math.log(abs(distance) / ALPHA) / math.log(GAMMA / ALPHA) * (BETA - ALPHA)
    return int(math.copysign(min(round(ALPHA + far), BETA), distance))


def buckets(side: int) -> Tensor:
    """(1 + side^2, 1 + side^2): which entry of a table a query and a key use."""
    index = torch.full((1 + side * side,) * 2, 49)  # pairs with the class token
    for query in range(side * side):
        for key in range(side * side):
            row, col = query // side - key // side, query % side - key % side
            index[1 + query, 1 + key] = (piecewise(row) + 3) * 7 + piecewise(col) + 3
    return index


def predict(weights: dict[str, Tensor], images: Tensor, hidden: Tensor, heads: int) -> Tensor:
    """Predictions for the patches of one window.

    Args:
        weights: by the names of this project's LoMaR checkpoints.
        images: (B, 3, 16 * side, 16 * side), the window.
        hidden: (B, side * side) bool.
        heads: of the attention.

    Returns:
        (B, side * side, 768).
    """
    w = {name.removeprefix("backbone."): x for name, x in weights.items()}

    def norm(x: Tensor, name: str) -> Tensor:
        return F.layer_norm(x, x.shape[-1:], w[f"{name}.weight"], w[f"{name}.bias"], 1e-6)

    def linear(x: Tensor, name: str) -> Tensor:
        return F.linear(x, w[f"{name}.weight"].flatten(1), w[f"{name}.bias"])

    side = images.shape[-1] // 16
    patches = images.unfold(2, 16, 16).unfold(3, 16, 16).permute(0, 2, 3, 1, 4, 5).flatten(3)
    x = linear(patches.flatten(1, 2), "patch_embed.projection")
    x = torch.where(hidden[..., None], w["mask_token"], x)
    x = torch.cat([w["cls_token"].expand(len(x), -1, -1), x], dim=1)
    index = buckets(side)
    depth = 1 + max(int(name.split(".")[1]) for name in w if name.startswith("layers."))
    for layer in (f"layers.{i}" for i in range(depth)):
        qkv = linear(norm(x, f"{layer}.ln1"), f"{layer}.attn.qkv")
        q, k, v = qkv.unflatten(2, (3, heads, -1)).permute(2, 0, 3, 1, 4)
        logits = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
        by_bucket = q @ w[f"{layer}.attn.irpe.table"][0]
        logits = logits + by_bucket.gather(-1, index.expand(len(x), heads, -1, -1))
        attended = (logits.softmax(-1) @ v).transpose(1, 2).flatten(2)
        x = x + linear(attended, f"{layer}.attn.proj")
        inner = F.gelu(linear(norm(x, f"{layer}.ln2"), f"{layer}.ffn.layers.0.0"))
        x = x + linear(inner, f"{layer}.ffn.layers.1")
    return linear(norm(x, "ln1")[:, 1:], "neck.pred")
