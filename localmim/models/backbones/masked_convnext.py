"""A2MIM's ConvNeXt: a mask token inside."""

from collections.abc import Sequence

from mmpretrain.models.backbones import ConvNeXt
from mmpretrain.registry import MODELS
from torch import Tensor

from localmim.masking import PatchMask
from localmim.models.layers import (
    add_inner_tokens,
    cell_in_pixels,
    convnext_stages,
    describe_stages,
    fill_with_mean,
    mask_inside,
    tap_list,
)


@MODELS.register_module()
class MaskedConvNeXt(ConvNeXt):
    """mmpretrain's ConvNeXt with A2MIM's masking (Li et al. 2023, section 4).

    Without a mask it *is* the parent, under the parent's parameter names, with ``mask_token`` and
    ``mask_gamma`` beside them. With a mask, hidden pixels are replaced by their image's mean, and
    at the input of the last stage's blocks hidden positions x become gamma * x + token.

    Args:
        arch: as in the parent.
        in_channels: channels of the images.
        out_indices: stages whose output is returned after a norm of its own.
        gap_before_final_norm: whether maps are averaged, as in the parent; not in pre-training.
        **kwargs: the parent's other arguments.
    """

    def __init__(
        self,
        arch: str | dict = "tiny",
        in_channels: int = 3,
        out_indices: int | Sequence[int] = (3,),
        gap_before_final_norm: bool = False,
        **kwargs,
    ) -> None:
        super().__init__(
            arch=arch,
            in_channels=in_channels,
            out_indices=tap_list(out_indices),
            gap_before_final_norm=gap_before_final_norm,
            **kwargs,
        )
        describe_stages(self, in_channels, convnext_stages(self, dense=True))
        add_inner_tokens(self, self.channels[-1])

    def forward(self, images: Tensor, mask: PatchMask | None = None) -> tuple[Tensor, ...]:
        """Encode images, or what is visible of them.

        Args:
            images: (B, C, H, W).
            mask: on square cells whose side is a multiple of the last stride (32 pixels), or None
                for the parent's forward.

        Returns:
            Per tap (B, C_t, h_t, w_t).

        Raises:
            ValueError: the mask does not fit the images or this ConvNeXt.
        """
        if mask is None:
            return super().forward(images)
        cell_in_pixels(images, mask, self.cell_size)
        x = fill_with_mean(images, mask)
        taps = []
        for number, stage in enumerate(self.stages):
            x = self.downsample_layers[number](x)
            if number == self.num_stages - 1:
                x = mask_inside(self, x, mask)
            x = stage(x)
            if number in self.out_indices:
                taps.append(getattr(self, f"norm{number}")(x))
        return tuple(taps)
