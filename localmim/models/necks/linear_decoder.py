"""The least decoder: one linear layer."""

from collections.abc import Sequence

from mmengine.model import BaseModule
from mmpretrain.registry import MODELS
from torch import Tensor, nn

from localmim.masking import PatchMask
from localmim.wiring import Tap, TargetMap


@MODELS.register_module()
class LinearDecoder(BaseModule):
    """Predict the target of a single tap by a 1x1 convolution and a pixel shuffle.

    For encoders whose features are whole maps, with mask tokens inside: LoMaR (Chen et al. 2022)
    predicts a patch's pixels at each position, A2MIM (Li et al. 2023), like SimMIM, shuffles them
    to the size of the image. The model gives ``taps`` and ``maps``.

    Args:
        taps: one, a whole map of C channels.
        maps: one, whose stride divides the tap's.
        init_cfg: how to initialise instead, in mmengine's terms.

    Raises:
        ValueError: several taps, visible tokens instead of a map, or a target coarser than the tap.
    """

    def __init__(
        self,
        taps: Sequence[Tap],
        maps: Sequence[TargetMap],
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if len(taps) != 1 or not taps[0].dense:
            raise ValueError(
                f"LinearDecoder takes one tap that is a whole map, the backbone has {tuple(taps)}: "
                "name one of its out_indices; encoders of visible tokens need LocalDecoders"
            )
        (tap,), (target,) = taps, maps
        if tap.stride % target.stride:
            raise ValueError(
                f"LinearDecoder enlarges a tap, but its stride of {tap.stride} pixels is no "
                f"multiple of the target's, {target.stride} (cells or patch_sizes)"
            )
        upscale = tap.stride // target.stride
        self.pred = nn.Conv2d(tap.channels, target.channels * upscale**2, 1)
        self.shuffle = nn.PixelShuffle(upscale)

    def init_weights(self) -> None:
        """Initialise the convolution as a linear layer, unless ``init_cfg`` says how."""
        super().init_weights()
        if self.init_cfg:
            return
        nn.init.xavier_uniform_(self.pred.weight.flatten(1))
        nn.init.zeros_(self.pred.bias)

    def forward(self, features: Sequence[Tensor], mask: PatchMask) -> tuple[Tensor]:
        """Predict the target.

        Args:
            features: one map (B, C, h, w).
            mask: not looked at; what is hidden is in the features.

        Returns:
            One map (B, D, H / stride, W / stride) of the target.
        """
        return (self.shuffle(self.pred(features[0])),)
