"""Local multi-scale reconstruction."""

from mmpretrain.registry import MODELS

from .mim import MaskedImageModel


@MODELS.register_module()
class LocalMIM(MaskedImageModel):
    """Masked image modelling at several layers of the encoder.

    Lower taps predict fine targets and upper taps coarse ones, each through a small decoder of its
    own, so that every part of the encoder is guided directly (Wang et al., Masked Image Modeling
    with Local Multi-Scale Reconstruction, CVPR 2023). The arguments are those of
    :class:`MaskedImageModel`; ``isolate_gradients=True`` of the backbone gives the paper's
    gradient-isolated training.

    Raises:
        ValueError: the backbone has a single tap, which is no *multi-scale* reconstruction.
    """

    def __init__(self, **parts) -> None:
        super().__init__(**parts)
        if len(self.backbone.taps) < 2:
            raise ValueError(
                "LocalMIM reconstructs at two taps or more, but the backbone has one: name several "
                "out_indices, or use MaskedImageModel"
            )
