"""The least decoder: one linear layer."""

from collections.abc import Sequence

from mmengine.model import BaseModule
from mmpretrain.registry import MODELS
from torch import Tensor, nn

from localmim.masking import PatchMask


@MODELS.register_module()
class LinearDecoder(BaseModule):
    """Predict the target of a single tap by a 1x1 convolution and a pixel shuffle.

    For encoders whose features are whole maps, with mask tokens inside: LoMaR (Chen et al. 2022)
    predicts a patch's pixels at each position, A2MIM (Li et al. 2023), like SimMIM, shuffles them
    to the size of the image.

    Args:
        in_channels: width of the tap.
        out_channels: channels of the target.
        upscale: size of the target's grid relative to the tap's.
        init_cfg: how to initialise instead, in mmengine's terms.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        upscale: int = 1,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.pred = nn.Conv2d(in_channels, out_channels * upscale**2, 1)
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
            features: one map (B, in_channels, h, w).
            mask: not looked at; what is hidden is in the features.

        Returns:
            One map (B, out_channels, h * upscale, w * upscale).
        """
        if len(features) != 1:
            raise ValueError(
                f"LinearDecoder takes one tap, the backbone has {len(features)}: name one of "
                "out_indices of the backbone"
            )
        return (self.shuffle(self.pred(features[0])),)
