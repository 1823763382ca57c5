"""A2MIM's ResNet: a mask token inside."""

from mmpretrain.models.backbones import ResNet
from mmpretrain.registry import MODELS
from torch import Tensor

from localmim.masking import PatchMask
from localmim.models.layers import (
    add_inner_tokens,
    cell_in_pixels,
    describe_stages,
    fill_with_mean,
    mask_inside,
    resnet_stages,
)


@MODELS.register_module()
class MaskedResNet(ResNet):
    """mmpretrain's ResNet with A2MIM's masking (Li et al. 2023, section 4).

    Without a mask it *is* the parent, under the parent's parameter names, with ``mask_token`` and
    ``mask_gamma`` beside them. With a mask, hidden pixels are replaced by their image's mean, and
    at the input of the last stage hidden positions x become gamma * x + token.

    Args:
        depth: 18, 34, 50, 101 or 152.
        in_channels: channels of the images.
        **kwargs: the parent's other arguments, except ``deep_stem``.
    """

    def __init__(self, depth: int = 50, in_channels: int = 3, **kwargs) -> None:
        if kwargs.pop("deep_stem", False):
            raise ValueError("MaskedResNet has no masked form of deep_stem: leave it out")
        super().__init__(depth=depth, in_channels=in_channels, **kwargs)
        describe_stages(self, in_channels, resnet_stages(self, dense=True))
        add_inner_tokens(self, getattr(self, self.res_layers[-1])[0].in_channels)

    def forward(self, images: Tensor, mask: PatchMask | None = None) -> tuple[Tensor, ...]:
        """Encode images, or what is visible of them.

        Args:
            images: (B, C, H, W).
            mask: on square cells whose side is a multiple of the last stride (32 pixels), or None
                for the parent's forward.

        Returns:
            Per tap (B, C_t, h_t, w_t).

        Raises:
            ValueError: the mask does not fit the images or this ResNet.
        """
        if mask is None:
            return super().forward(images)
        cell_in_pixels(images, mask, self.cell_size)
        x = fill_with_mean(images, mask)
        x = self.maxpool(self.relu(self.norm1(self.conv1(x))))
        taps = []
        for number, name in enumerate(self.res_layers):
            if name == self.res_layers[-1]:
                x = mask_inside(self, x, mask)
            x = getattr(self, name)(x)
            if number in self.out_indices:
                taps.append(x)
        return tuple(taps)
