"""LoMaR's Vision Transformer: relative positions in every block, mask tokens in the sequence."""

from collections.abc import Sequence

import torch
from mmpretrain.models.backbones import VisionTransformer
from mmpretrain.models.backbones.vision_transformer import TransformerEncoderLayer
from mmpretrain.registry import MODELS
from torch import Tensor, nn

from localmim.masking import PatchMask
from localmim.models.layers import (
    IRPE,
    IRPELayer,
    give_forms,
    init_linear_and_norm,
    init_patch_embed,
    relative_buckets,
    tap_list,
    vit_taps,
)


@MODELS.register_module()
class IRPEViT(VisionTransformer):
    """mmpretrain's VisionTransformer with contextual relative positions instead of absolute ones.

    For LoMaR's pre-training and for all that follows it (Chen et al. 2022, section 3; Wu et al.
    2021): iRPE on keys by the product method in every block, shared by its heads, with the class
    token in a bucket of its own. Nothing depends on the size of the images: a model pre-trained on
    windows takes whole images.

    With a mask the embeddings of hidden patches are replaced by ``mask_token``. The weights have
    the parent's names; beside them are ``mask_token`` and ``layers.N.attn.irpe.table``, and
    ``pos_embed`` is gone.

    Args:
        arch: as in the parent.
        img_size: int or (height, width) in pixels, the usual size of the images; others do as well.
        patch_size: side of a patch in pixels.
        in_channels: channels of the images.
        drop_path_rate: stochastic depth; none in pre-training.
        out_indices: 0-based blocks whose output is returned; negative numbers count from the end.
        out_type: what is returned, as in the parent: "featmap" in pre-training.
        **kwargs: the parent's other arguments, except ``with_cls_token`` and ``pre_norm``.
    """

    def __init__(
        self,
        arch: str | dict = "base",
        img_size: int | tuple[int, int] = 224,
        patch_size: int = 16,
        in_channels: int = 3,
        drop_path_rate: float = 0.0,
        out_indices: int | Sequence[int] = (-1,),
        out_type: str = "featmap",
        **kwargs,
    ) -> None:
        for name, value in (("with_cls_token", True), ("pre_norm", False)):
            if kwargs.pop(name, value) != value:
                raise ValueError(f"IRPEViT has {name}={value} only: leave it out")
        super().__init__(
            arch=arch,
            img_size=img_size,
            patch_size=patch_size,
            in_channels=in_channels,
            drop_path_rate=drop_path_rate,
            out_indices=tap_list(out_indices),
            out_type=out_type,
            **kwargs,
        )
        self.image_channels = in_channels
        self.patch_size = self.cell_size = patch_size
        self.taps = vit_taps(self, patch_size, dense=True)
        self.pos_embed = None
        self.mask_token = nn.Parameter(torch.zeros(1, 1, self.embed_dims))
        for layer in self.layers:
            layer.attn.irpe = IRPE(layer.attn.head_dims)
        give_forms(self, {TransformerEncoderLayer: IRPELayer})

    def init_weights(self) -> None:
        """Initialise as MAE does, tables as zeros, unless ``init_cfg`` says how."""
        super().init_weights()
        if self.init_cfg:
            return
        init_linear_and_norm(self)
        init_patch_embed(self.patch_embed)
        for token in (self.cls_token, self.mask_token):
            nn.init.normal_(token, std=0.02)

    def forward(self, images: Tensor, mask: PatchMask | None = None) -> tuple[Tensor, ...]:
        """Encode images, or what is visible of them.

        Args:
            images: (B, C, H, W).
            mask: on square cells of whole patches, or None.

        Returns:
            Per tap what ``out_type`` says; (B, embed_dims, H / patch_size, W / patch_size) for
            "featmap".
        """
        x, grid = self.patch_embed(images)
        if mask is not None:
            hidden = mask.hidden_at(grid).flatten(1)
            x = torch.where(hidden.unsqueeze(-1), self.mask_token.to(x.dtype), x)
        x = torch.cat([self.cls_token.expand(len(x), -1, -1).to(x.dtype), x], dim=1)
        x = self.drop_after_pos(x)
        buckets = relative_buckets(grid, x.device)
        taps = []
        for number, layer in enumerate(self.layers):
            x = layer(x, buckets)
            if number == self.num_layers - 1 and self.final_norm:
                x = self.ln1(x)
            if number in self.out_indices:
                taps.append(self._format_output(x, grid))
        return tuple(taps)
