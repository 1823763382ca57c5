"""Masked image modelling as a composition of five parts."""

from mmpretrain.models.selfsup import BaseSelfSupervisor
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torch import Tensor

from localmim.masking import PatchMask


@MODELS.register_module()
class MaskedImageModel(BaseSelfSupervisor):
    """Hide a part of each image and predict targets there from what is visible.

    The parts, each a registered module (or its config):

    - ``mask_generator(images) -> PatchMask``
    - ``backbone(images, mask) -> T features``
    - ``neck(features, mask) -> T predictions``
    - ``target_generator(images) -> T targets``
    - ``head.loss(predictions, targets, mask) -> {"loss_0": ..., "loss_{T-1}": ...}``, or other
      names that start with "loss"

    Args:
        backbone: with taps at T layers.
        mask_generator: which cells are hidden.
        neck: a decoder per tap.
        target_generator: what has to be predicted.
        head: the loss.
        data_preprocessor: as in mmpretrain's self-supervised models.
        init_cfg: as in mmengine.
    """

    def __init__(
        self,
        backbone: dict,
        mask_generator: dict,
        neck: dict,
        target_generator: dict,
        head: dict,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(
            backbone=backbone,
            neck=neck,
            head=head,
            target_generator=target_generator,
            data_preprocessor=data_preprocessor,
            init_cfg=init_cfg,
        )
        self.mask_generator = MODELS.build(mask_generator)

    def views(self, images: Tensor) -> Tensor:
        """What is masked and reconstructed: the images themselves.

        Args:
            images: (B, C, H, W), normalised.
        """
        return images

    def reconstruct(
        self, images: Tensor, mask: PatchMask
    ) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Predictions and targets, T maps (B, D_t, h_t, w_t) each, for a given mask.

        Args:
            images: (B, C, H, W), normalised views.
            mask: which cells are hidden.
        """
        predictions = self.neck(self.backbone(images, mask), mask)
        return predictions, self.target_generator(images)

    def loss(
        self, inputs: Tensor, data_samples: list[DataSample] | None = None
    ) -> dict[str, Tensor]:
        """Named losses, as the head has them, for a batch of normalised images (B, C, H, W)."""
        images = self.views(inputs)
        mask = self.mask_generator(images)
        predictions, targets = self.reconstruct(images, mask)
        return self.head.loss(predictions, targets, mask)
