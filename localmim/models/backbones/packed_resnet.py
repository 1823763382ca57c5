"""A ResNet whose features see visible cells only."""

from collections.abc import Sequence

from mmpretrain.models.backbones import ResNet
from mmpretrain.models.backbones.resnet import BasicBlock, Bottleneck
from mmpretrain.registry import MODELS
from torch import Tensor

from localmim.masking import PatchMask
from localmim.models.layers import (
    PackedBasicBlock,
    PackedBottleneck,
    VisibleCells,
    cell_in_pixels,
    describe_stages,
    give_forms,
    hide_pixels,
    resnet_stages,
    run_visible,
    tokens_of,
)


@MODELS.register_module()
class PackedResNet(ResNet):
    """mmpretrain's ResNet with a masked forward, for LocalMIM on a CNN (ours, not the paper's).

    Without a mask it *is* the parent, under the parent's parameter names. With a mask, features
    are kept at visible cells only, all the way: every convolution sees zeros at hidden cells, and
    every batch norm has the statistics of visible positions. Nothing of what is hidden reaches a
    feature or a statistic, and 1x1 convolutions, norms and activations are computed on the visible
    part alone.

    Args:
        depth: 18, 34, 50, 101 or 152.
        in_channels: channels of the images.
        out_indices: the taps, 0-based stages whose output is returned, at strides 4, 8, 16 and 32.
        **kwargs: the parent's other arguments, except ``deep_stem``, ``with_cp`` and
            ``dilations``.
    """

    def __init__(
        self,
        depth: int = 50,
        in_channels: int = 3,
        out_indices: Sequence[int] = (0, 1, 2, 3),
        **kwargs,
    ) -> None:
        for name in ("deep_stem", "with_cp", "dilations"):
            if kwargs.pop(name, False):
                raise ValueError(f"PackedResNet has no masked form of {name}: leave it out")
        super().__init__(
            depth=depth, in_channels=in_channels, out_indices=tuple(out_indices), **kwargs
        )
        give_forms(self, {BasicBlock: PackedBasicBlock, Bottleneck: PackedBottleneck})
        describe_stages(self, in_channels, resnet_stages(self, dense=False))

    def forward(self, images: Tensor, mask: PatchMask | None = None) -> tuple[Tensor, ...]:
        """Encode images, or their visible cells.

        Args:
            images: (B, C, H, W).
            mask: on square cells whose side is a multiple of the last stride (32 pixels), or None
                for the parent's forward.

        Returns:
            With a mask one (B, K * s * s, C_t) tensor per tap, cell-major, where s is the tap's
            positions along a side of a cell. Without one the parent's maps.

        Raises:
            ValueError: the mask does not fit the images or this ResNet.
        """
        if mask is None:
            return super().forward(images)
        cell_in_pixels(images, mask, self.cell_size)
        cells = VisibleCells(mask)
        x = cells.pack(self.conv1(hide_pixels(images, mask)))
        x = run_visible(self.maxpool, self.relu(self.norm1(x)), cells)
        taps = []
        for number, name in enumerate(self.res_layers):
            for block in getattr(self, name):
                x = block(x, cells)
            if number in self.out_indices:
                taps.append(tokens_of(x))
        return tuple(taps)
