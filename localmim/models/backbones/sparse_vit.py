"""A Vision Transformer that computes on visible patches only."""

from collections.abc import Sequence

import torch
from mmpretrain.models.backbones import VisionTransformer
from mmpretrain.models.utils import resize_pos_embed
from mmpretrain.registry import MODELS
from torch import Tensor, nn

from localmim.masking import PatchMask, visible_positions
from localmim.models.layers import (
    cell_in_pixels,
    embed_visible,
    init_linear_and_norm,
    init_patch_embed,
    sincos_positions,
    speed_up_attention,
    tap_list,
    vit_taps,
)


@MODELS.register_module()
class SparseViT(VisionTransformer):
    """mmpretrain's VisionTransformer with fixed sine-cosine positions and a masked forward.

    Without a mask it *is* the parent, under the parent's parameter names, so its weights load into
    a plain ``VisionTransformer``. With a mask only visible patches (and the class token) are
    embedded and encoded: positions are added before patches are dropped, as in MAE (He et al.
    2022) and LocalMIM (Wang et al. 2023, section 3).

    Args:
        arch: as in the parent.
        img_size: int or (height, width) in pixels, the size for which positions are laid out;
            other sizes interpolate them as the parent does.
        patch_size: side of a patch in pixels, and of the mask's least cells.
        in_channels: channels of the images.
        out_indices: the taps, 0-based blocks whose output is returned, in ascending order;
            negative numbers count from the end. The default is LocalMIM's: after blocks 2, 4,
            D - 2 and D counted from one.
        isolate_gradients: detach the input of every segment between taps, so that each tap trains
            its own segment only (gradient-isolated training, a table of Wang et al. 2023).
        out_type: what the unmasked forward returns, as in the parent.
        **kwargs: the parent's other arguments.
    """

    def __init__(
        self,
        arch: str | dict = "base",
        img_size: int | tuple[int, int] = 224,
        patch_size: int = 16,
        in_channels: int = 3,
        out_indices: int | Sequence[int] = (1, 3, -3, -1),
        isolate_gradients: bool = False,
        out_type: str = "raw",
        **kwargs,
    ) -> None:
        super().__init__(
            arch=arch,
            img_size=img_size,
            patch_size=patch_size,
            in_channels=in_channels,
            out_indices=tap_list(out_indices),
            out_type=out_type,
            **kwargs,
        )
        self._check_taps(out_indices)
        self._check_patches(patch_size)
        speed_up_attention(self)
        self.image_channels = in_channels
        self.patch_size = self.cell_size = patch_size
        self.taps = vit_taps(self, patch_size, dense=False)
        self.isolate_gradients = isolate_gradients
        self.pos_embed.requires_grad = False
        self._lay_out_positions()

    def _check_taps(self, given: int | Sequence[int]) -> None:
        taps, depth = self.out_indices, self.num_layers
        if list(taps) != sorted(set(taps)) or not taps or taps[-1] >= depth:
            raise ValueError(
                f"out_indices {given} of a ViT with {depth} blocks are the taps "
                f"{tuple(taps)}; they must be distinct, ascending and below {depth}. The default "
                "taps (1, 3, -3, -1) need at least 7 blocks"
            )

    def _check_patches(self, patch_size: int) -> None:
        projection, side = self.patch_embed.projection, (patch_size, patch_size)
        if projection.kernel_size != side or projection.stride != side:
            raise ValueError(
                f"patch_cfg gives kernel {projection.kernel_size} and stride {projection.stride}; "
                f"only patches that do not overlap, {side} both, can be computed one by one"
            )
        if any(length % patch_size for length in self.img_size):
            raise ValueError(
                f"img_size {self.img_size} (height, width) must be multiples of patch_size "
                f"{patch_size}"
            )

    def _lay_out_positions(self) -> None:
        positions = sincos_positions(self.patch_resolution, self.embed_dims)
        with torch.no_grad():
            self.pos_embed.zero_()
            self.pos_embed[0, self.num_extra_tokens :] = positions

    def init_weights(self) -> None:
        """Initialise as MAE does, unless ``init_cfg`` says how."""
        super().init_weights()
        if self.init_cfg:
            return
        init_linear_and_norm(self)
        init_patch_embed(self.patch_embed)
        if self.cls_token is not None:
            nn.init.normal_(self.cls_token, std=0.02)
        self._lay_out_positions()

    def forward(self, images: Tensor, mask: PatchMask | None = None) -> tuple[Tensor, ...]:
        """Encode images, or their visible patches.

        Args:
            images: (B, C, H, W).
            mask: on square cells of whole patches, or None for the parent's forward.

        Returns:
            With a mask one (B, P + K * s * s, embed_dims) tensor per tap: P extra tokens (the class
            token), then the visible patches, cell-major, where s is the patches along a side of a
            cell. The output of the last block has passed the final norm, the others have not, as in
            the parent.

        Raises:
            ValueError: the mask does not fit the images or the patches.
        """
        if mask is None:
            return super().forward(images)
        x = self.pre_norm(self.drop_after_pos(self._embed_visible(images, mask)))
        taps = []
        for number, layer in enumerate(self.layers):
            x = layer(x)
            if number == self.num_layers - 1 and self.final_norm:
                x = self.ln1(x)
            if number in self.out_indices:
                taps.append(x)
                if self.isolate_gradients:
                    x = x.detach()
        return tuple(taps)

    def _embed_visible(self, images: Tensor, mask: PatchMask) -> Tensor:
        """Embed visible patches, add positions and prepend the class token."""
        side = cell_in_pixels(images, mask, self.patch_size) // self.patch_size
        positions = resize_pos_embed(
            self.pos_embed,
            self.patch_resolution,
            tuple(cells * side for cells in mask.grid),
            mode=self.interpolate_mode,
            num_extra_tokens=self.num_extra_tokens,
        )[0]
        x = embed_visible(self.patch_embed, images, mask)
        x = x + positions[self.num_extra_tokens :][visible_positions(mask, side)]
        if self.cls_token is None:
            return x
        extra = self.cls_token + positions[: self.num_extra_tokens]
        return torch.cat([extra.expand(len(x), -1, -1).to(x.dtype), x], dim=1)
