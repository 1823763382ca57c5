"""What the attention of a Vision Transformer does, layer by layer and head by head.

Attention is computed again from queries and keys, which a hook takes; the encoder runs by its own
fused path. Everything below is about patches: attention among them, without class tokens, each
query's shares adding up to 1.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


def attention_layers(encoder: nn.Module) -> list[nn.Module]:
    """The attention modules of a plain ViT of mmpretrain or timm, first to last.

    Raises:
        TypeError: there are none, or they attend by more than queries and keys.
    """
    found = [
        module
        for module in encoder.modules()
        if isinstance(getattr(module, "qkv", None), nn.Linear) and hasattr(module, "num_heads")
    ]
    for module in found:
        if more := _more_than_queries_and_keys(module):
            raise TypeError(
                f"{type(encoder).__name__} attends by more than queries and keys "
                f"({type(module).__name__} has {more}): only plain ViTs can be analysed"
            )
    if not found:
        raise TypeError(
            f"{type(encoder).__name__} has no attention with one projection to queries, keys and "
            "values: only plain ViTs of mmpretrain and timm can be analysed"
        )
    return found


def _more_than_queries_and_keys(module: nn.Module) -> str | None:
    """What an attention module has that may change its scores: positions, windows, norms."""
    known = ("qkv.", "proj.", "gamma1.", "norm.")  # the last two come after attention
    names = [name for name, _ in module.named_parameters() if not name.startswith(known)]
    names += [
        name
        for name in ("window_size", "q_norm", "k_norm")
        if not isinstance(getattr(module, name, None), (type(None), nn.Identity))
    ]
    return names[0] if names else None


@torch.no_grad()
def attention_maps(encoder: nn.Module, images: Tensor, extra_tokens: int) -> list[Tensor]:
    """Attention among the patches of images.

    Args:
        encoder: a plain ViT, in evaluation mode.
        images: (B, C, H, W), normalised.
        extra_tokens: tokens before those of patches.

    Returns:
        Per layer (B, heads, N, N): row q has the shares of the keys of patch q, in row-major order
        of patches.
    """
    maps: list[Tensor] = []
    with _watched(attention_layers(encoder), extra_tokens, maps):
        encoder(images)
    return maps


@contextmanager
def _watched(layers: list[nn.Module], extra_tokens: int, maps: list[Tensor]) -> Iterator[None]:
    def keep(heads: int):
        def hook(_module: nn.Module, _inputs: tuple, projected: Tensor) -> None:
            parts = projected.unflatten(2, (3, heads, -1)).permute(2, 0, 3, 1, 4)
            query, key = (x[:, :, extra_tokens:].float() for x in parts[:2])
            scores = query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5
            maps.append(scores.softmax(-1))

        return hook

    handles = [x.qkv.register_forward_hook(keep(x.num_heads)) for x in layers]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def normalized_mutual_information(attention: Tensor) -> Tensor:
    """How much a key says of the query that attends to it, from 0 to 1.

    I(q, k) / sqrt(H(q) H(k)), with queries equally likely and p(k | q) the attention (Park et al.
    2023, "What do self-supervised Vision Transformers learn?", section 2). 0 where all queries
    attend alike, 1 where each has keys of its own, as in a permutation.

    Args:
        attention: (..., N, N), rows add up to 1.

    Returns:
        (...).
    """
    attention = attention.double()
    count = attention.shape[-2]
    keys = attention.mean(-2)
    of_keys = _entropy(keys)
    information = of_keys - _entropy(attention).mean(-1)
    of_queries = torch.tensor(float(count), dtype=torch.double, device=attention.device).log()
    return information.clamp_min(0) / (of_queries * of_keys).sqrt().clamp_min(1e-12)


def attention_entropy(attention: Tensor) -> Tensor:
    """Mean entropy of the queries' shares in nats, 0 to log N: (..., N, N) -> (...)."""
    return _entropy(attention.double()).mean(-1)


def attention_distance(attention: Tensor, grid: tuple[int, int], patch_size: int) -> Tensor:
    """Mean distance to what is attended to, in pixels (Dosovitskiy et al. 2021, figure 7).

    Args:
        attention: (..., N, N).
        grid: rows and columns of patches, N of them.
        patch_size: side of a patch in pixels.

    Returns:
        (...).
    """
    rows, cols = (torch.arange(float(side), device=attention.device) for side in grid)
    places = torch.cartesian_prod(rows, cols) * patch_size
    return (attention * torch.cdist(places, places)).sum(-1).mean(-1)


def _entropy(shares: Tensor) -> Tensor:
    return torch.special.entr(shares).sum(-1)
