"""A feature pyramid from a single map."""

from mmdet.registry import MODELS
from mmengine.model import BaseModule
from mmpretrain.models.utils import LayerNorm2d
from torch import Tensor, nn

EPS = 1e-6  # of every norm, as in the ViT


def _double(in_channels: int, out_channels: int) -> nn.Module:
    return nn.ConvTranspose2d(in_channels, out_channels, kernel_size=2, stride=2)


def _project(in_channels: int, out_channels: int) -> list[nn.Module]:
    return [
        nn.Conv2d(in_channels, out_channels, kernel_size=1, bias=False),
        LayerNorm2d(out_channels, eps=EPS),
        nn.Conv2d(out_channels, out_channels, kernel_size=3, padding=1, bias=False),
        LayerNorm2d(out_channels, eps=EPS),
    ]


@MODELS.register_module()
class SimpleFeaturePyramid(BaseModule):
    """The pyramid of Li et al., "Exploring Plain Vision Transformer Backbones for Object
    Detection" (2022): every scale is made from the last map of a ViT, with no connection between
    scales.

    From a map at stride p it makes maps at strides p / 4 (two 2x2 deconvolutions, which halve the
    channels each, with layer norm and GELU between them), p / 2 (one deconvolution), p and 2p
    (max pooling). Each goes through a 1x1 and a 3x3 convolution, both followed by a layer norm over
    channels. The fifth map, at stride 4p, subsamples the fourth and serves the RPN.

    Args:
        in_channels: channels of the backbone's map, a multiple of 4.
        out_channels: channels of every map of the pyramid.
    """

    def __init__(self, in_channels: int, out_channels: int = 256) -> None:
        super().__init__()
        half, quarter = in_channels // 2, in_channels // 4
        to_quarter = [
            _double(in_channels, half),
            LayerNorm2d(half, eps=EPS),
            nn.GELU(),
            _double(half, quarter),
        ]
        self.scales = nn.ModuleList(
            nn.Sequential(*layers, *_project(channels, out_channels))
            for layers, channels in (
                (to_quarter, quarter),
                ([_double(in_channels, half)], half),
                ([], in_channels),
                ([nn.MaxPool2d(kernel_size=2)], in_channels),
            )
        )
        self.subsample = nn.MaxPool2d(kernel_size=1, stride=2)

    def forward(self, features: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Make five maps of the last one of ``features``, (B, in_channels, H, W) at stride p.

        Returns:
            Maps of out_channels channels at strides p / 4, p / 2, p, 2p and 4p.
        """
        maps = [scale(features[-1]) for scale in self.scales]
        return (*maps, self.subsample(maps[-1]))
