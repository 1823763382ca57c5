"""The blocks of mmpretrain's convolutional networks on packed maps of visible cells."""

from mmpretrain.models.backbones.convnext import ConvNeXtBlock
from mmpretrain.models.backbones.resnet import BasicBlock, Bottleneck
from torch import Tensor, nn

from .visible_conv import VisibleCells, run_visible


class PackedBasicBlock(BasicBlock):
    """mmpretrain's block of a ResNet-18 or -34, on dense or packed maps."""

    def forward(self, x: Tensor, cells: VisibleCells | None = None) -> Tensor:
        """(B, C, H, W) without cells, as the parent, or (B, C, K * s * s, 1) with them."""
        return super().forward(x) if cells is None else _run_residual(self, x, cells)


class PackedBottleneck(Bottleneck):
    """mmpretrain's block of deeper ResNets, on dense or packed maps."""

    def forward(self, x: Tensor, cells: VisibleCells | None = None) -> Tensor:
        """(B, C, H, W) without cells, as the parent, or (B, C, K * s * s, 1) with them."""
        return super().forward(x) if cells is None else _run_residual(self, x, cells)


def _run_residual(block: nn.Module, x: Tensor, cells: VisibleCells) -> Tensor:
    identity = x if block.downsample is None else run_visible(block.downsample, x, cells)
    depth = 3 if hasattr(block, "conv3") else 2
    for number in range(1, depth + 1):
        x = run_visible(getattr(block, f"conv{number}"), x, cells)
        x = getattr(block, f"norm{number}")(x)
        if number < depth:
            x = block.relu(x)
    return block.relu(block.drop_path(x) + identity)


class PackedConvNeXtBlock(ConvNeXtBlock):
    """mmpretrain's block, with pointwise layers of either kind, on dense or packed maps."""

    def forward(self, x: Tensor, cells: VisibleCells | None = None) -> Tensor:
        """(B, C, H, W) without cells, as the parent, or (B, C, K * s * s, 1) with them."""
        if cells is None:
            return super().forward(x)
        shortcut = x
        x = run_visible(self.depthwise_conv, x, cells)
        order = "channel_last" if self.linear_pw_conv else "channel_first"
        if self.linear_pw_conv:
            x = x.permute(0, 2, 3, 1)
        x = self.act(self.pointwise_conv1(self.norm(x, data_format=order)))
        if self.grn is not None:
            x = self.grn(x, data_format=order)
        x = self.pointwise_conv2(x)
        if self.linear_pw_conv:
            x = x.permute(0, 3, 1, 2)
        if self.gamma is not None:
            x = x * self.gamma.view(1, -1, 1, 1)
        return shortcut + self.drop_path(x)
