"""Training a classifier's head on a backbone that stays as it is."""

from mmpretrain.models import ImageClassifier
from mmpretrain.registry import MODELS


@MODELS.register_module()
class LinearProbe(ImageClassifier):
    """mmpretrain's ImageClassifier with a frozen backbone, whatever its kind and depth.

    The backbone's parameters have no gradients, and it stays in evaluation mode, so that neither
    its running statistics nor anything random changes its features. (mmpretrain's
    ``frozen_stages`` leave a VisionTransformer in training mode.) Arguments are the parent's.
    """

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.backbone.requires_grad_(False)

    def train(self, mode: bool = True) -> "LinearProbe":
        """Set the mode of everything but the backbone."""
        super().train(mode)
        self.backbone.eval()
        return self
