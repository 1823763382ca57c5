"""A2MIM's Vision Transformer: a mask token after the patch embedding."""

from collections.abc import Sequence

import torch
from mmpretrain.models.backbones import BEiTViT
from mmpretrain.registry import MODELS
from torch import Tensor, nn

from localmim.masking import PatchMask
from localmim.models.layers import fill_with_mean, tap_list, vit_taps


@MODELS.register_module()
class MaskedViT(BEiTViT):
    """mmpretrain's BEiTViT, with absolute positions as well, and A2MIM's masking.

    As in A2MIM's release on a ViT, which follows SimMIM: relative position biases in each block,
    layer scale 0.1 (Li et al. 2023). Without a mask it *is* the parent, under the parent's
    parameter names, with ``mask_token`` beside them. With a mask, hidden pixels are replaced by
    their image's mean, and ``mask_token`` is added to the embeddings of hidden patches.

    Args:
        arch: as in the parent.
        img_size: int or (height, width) in pixels, which images must have: the position biases are
            laid out for it.
        patch_size: side of a patch in pixels.
        in_channels: channels of the images.
        out_indices: 0-based blocks whose output is returned; negative numbers count from the end.
        out_type: what is returned, as in the parent: "featmap" in pre-training.
        drop_path_rate: stochastic depth, once per branch. (The parent drops the MLP's twice.)
        final_norm: a norm after the last block.
        **kwargs: the parent's other arguments, except ``layer_cfgs``.
    """

    def __init__(
        self,
        arch: str | dict = "base",
        img_size: int | tuple[int, int] = 224,
        patch_size: int = 16,
        in_channels: int = 3,
        out_indices: int | Sequence[int] = (-1,),
        out_type: str = "featmap",
        drop_path_rate: float = 0.0,
        final_norm: bool = True,
        **kwargs,
    ) -> None:
        super().__init__(
            arch=arch,
            img_size=img_size,
            patch_size=patch_size,
            in_channels=in_channels,
            out_indices=tap_list(out_indices),
            out_type=out_type,
            drop_path_rate=drop_path_rate,
            final_norm=final_norm,
            use_abs_pos_emb=True,
            layer_cfgs=dict(ffn_cfg=dict(add_identity=False, dropout_layer=None)),
            **kwargs,
        )
        self.image_channels = in_channels
        self.patch_size = self.cell_size = patch_size
        self.taps = vit_taps(self, patch_size, dense=True)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, self.embed_dims))

    def init_weights(self) -> None:
        """Initialise as A2MIM's release does, unless ``init_cfg`` says how."""
        super().init_weights()
        if self.init_cfg:
            return
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                nn.init.trunc_normal_(layer.weight, std=0.02)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
        for name, parameter in self.named_parameters():
            if name.endswith("relative_position_bias_table"):
                nn.init.zeros_(parameter)
        for token in (self.cls_token, self.mask_token):
            nn.init.trunc_normal_(token, std=0.02)

    def forward(self, images: Tensor, mask: PatchMask | None = None) -> tuple[Tensor, ...]:
        """Encode images, or what is visible of them.

        Args:
            images: (B, C, H, W) of ``img_size``.
            mask: on square cells of whole patches, or None for the parent's forward.

        Returns:
            Per tap what ``out_type`` says; (B, embed_dims, H / patch_size, W / patch_size) for
            "featmap".

        Raises:
            ValueError: the images have another size, or the mask does not fit them.
        """
        if tuple(images.shape[2:]) != tuple(self.img_size):
            raise ValueError(
                f"images of {images.shape[2]}x{images.shape[3]} pixels do not fit img_size "
                f"{self.img_size[0]}x{self.img_size[1]}, for which position biases are laid out"
            )
        if mask is None:
            return super().forward(images)
        x, grid = self.patch_embed(fill_with_mean(images, mask))
        hidden = mask.hidden_at(grid).flatten(1).unsqueeze(-1)
        x = torch.where(hidden, x + self.mask_token.to(x.dtype), x)
        x = torch.cat([self.cls_token.expand(len(x), -1, -1).to(x.dtype), x], dim=1)
        x = self.drop_after_pos(x + self.pos_embed.to(x.dtype))
        taps = []
        for number, layer in enumerate(self.layers):
            x = layer(x, None)
            if number == len(self.layers) - 1 and self.final_norm:
                x = self.ln1(x)
            if number in self.out_indices:
                taps.append(self._format_output(x, grid))
        return tuple(taps)
