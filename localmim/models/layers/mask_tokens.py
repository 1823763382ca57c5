"""Masking of encoders that compute on all positions (A2MIM)."""

import torch
from torch import Tensor, nn

from localmim.masking import PatchMask


def fill_with_mean(images: Tensor, mask: PatchMask) -> Tensor:
    """Replace hidden pixels by the mean of their image, channel by channel.

    The mean is that of the whole image, hidden pixels included (Li et al. 2023).

    Args:
        images: (B, C, H, W).
        mask: on square cells.
    """
    hidden = mask.hidden_at(tuple(images.shape[2:]))
    return torch.where(hidden.unsqueeze(1), images.mean(dim=(2, 3), keepdim=True), images)


def add_inner_tokens(encoder: nn.Module, channels: int) -> None:
    """Give a convolutional encoder A2MIM's ``mask_token`` and ``mask_gamma``, (1, C, 1, 1) each.

    Args:
        encoder: a module.
        channels: of the map that the token is added to.
    """
    encoder.mask_token = nn.Parameter(torch.empty(1, channels, 1, 1))
    encoder.mask_gamma = nn.Parameter(torch.full((1, channels, 1, 1), 1e-6))
    nn.init.trunc_normal_(encoder.mask_token, std=0.02)


def mask_inside(encoder: nn.Module, x: Tensor, mask: PatchMask) -> Tensor:
    """At hidden positions, gamma times the features plus the token.

    Args:
        encoder: with ``mask_token`` and ``mask_gamma``.
        x: (B, C, h, w), features inside the encoder.
        mask: on cells of whole positions.
    """
    hidden = mask.hidden_at(tuple(x.shape[2:])).unsqueeze(1)
    masked = encoder.mask_gamma.to(x.dtype) * x + encoder.mask_token.to(x.dtype)
    return torch.where(hidden, masked, x)
