"""A ConvNeXt whose features see visible cells only."""

from collections.abc import Sequence

from mmpretrain.models.backbones import ConvNeXt
from mmpretrain.models.backbones.convnext import ConvNeXtBlock
from mmpretrain.registry import MODELS
from torch import Tensor

from localmim.masking import PatchMask
from localmim.models.layers import (
    PackedConvNeXtBlock,
    VisibleCells,
    cell_in_pixels,
    convnext_stages,
    describe_stages,
    give_forms,
    hide_pixels,
    run_visible,
    tap_list,
    tokens_of,
)


@MODELS.register_module()
class PackedConvNeXt(ConvNeXt):
    """mmpretrain's ConvNeXt (v1 or v2) with a masked forward, for LocalMIM on a CNN (ours).

    Without a mask it *is* the parent, under the parent's parameter names. With a mask features are
    kept at visible cells only: depthwise convolutions see zeros at hidden cells, everything else
    is computed on the visible part alone, as in the pre-training of ConvNeXt V2 (Woo et al. 2023).

    Args:
        arch: as in the parent.
        in_channels: channels of the images.
        stem_patch_size: side of a patch in pixels.
        out_indices: the taps, 0-based stages whose output is returned after a norm of its own
            (``norm0``, ``norm1``, ...), at strides 4, 8, 16 and 32.
        gap_before_final_norm: whether the forward without a mask averages maps, as in the parent.
        **kwargs: the parent's other arguments, except ``with_cp``.
    """

    def __init__(
        self,
        arch: str | dict = "tiny",
        in_channels: int = 3,
        stem_patch_size: int = 4,
        out_indices: int | Sequence[int] = (0, 1, 2, 3),
        gap_before_final_norm: bool = False,
        **kwargs,
    ) -> None:
        if kwargs.pop("with_cp", False):
            raise ValueError("PackedConvNeXt has no masked form of with_cp: leave it out")
        super().__init__(
            arch=arch,
            in_channels=in_channels,
            stem_patch_size=stem_patch_size,
            out_indices=tap_list(out_indices),
            gap_before_final_norm=gap_before_final_norm,
            **kwargs,
        )
        give_forms(self, {ConvNeXtBlock: PackedConvNeXtBlock})
        describe_stages(self, in_channels, convnext_stages(self, dense=False))

    def forward(self, images: Tensor, mask: PatchMask | None = None) -> tuple[Tensor, ...]:
        """Encode images, or their visible cells.

        Args:
            images: (B, C, H, W).
            mask: on square cells whose side is a multiple of the last stride (32 pixels), or None
                for the parent's forward.

        Returns:
            With a mask one (B, K * s * s, C_t) tensor per tap, cell-major and normalised, where s
            is the tap's positions along a side of a cell. Without one what the parent returns.

        Raises:
            ValueError: the mask does not fit the images or this ConvNeXt.
        """
        if mask is None:
            return super().forward(images)
        cell_in_pixels(images, mask, self.cell_size)
        cells = VisibleCells(mask)
        projection, norm = self.downsample_layers[0]
        x = norm(cells.pack(projection(hide_pixels(images, mask))))
        taps = []
        for number, stage in enumerate(self.stages):
            if number:
                x = run_visible(self.downsample_layers[number], x, cells)
            for block in stage:
                x = block(x, cells)
            if number in self.out_indices:
                taps.append(tokens_of(getattr(self, f"norm{number}")(x)))
        return tuple(taps)
