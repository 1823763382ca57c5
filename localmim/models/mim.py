"""Masked image modelling as a composition of five parts."""

from mmpretrain.models.selfsup import BaseSelfSupervisor
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torch import Tensor

from localmim.masking import PatchMask
from localmim.wiring import check_parts, check_strides


@MODELS.register_module()
class MaskedImageModel(BaseSelfSupervisor):
    """Hide a part of each image and predict targets there from what is visible.

    The parts, each the config of a registered module:

    - ``mask_generator(images) -> PatchMask``
    - ``backbone(images, mask) -> T features``
    - ``neck(features, mask) -> T predictions``
    - ``target_generator(images) -> T targets``
    - ``head.loss(predictions, targets, mask) -> {"loss_0": ..., "loss_{T-1}": ...}``, or other
      names that start with "loss"

    They are fitted to each other here (see :mod:`localmim.wiring`): the neck is built with the
    ``taps`` that the backbone describes and the ``maps`` that the target generator makes of the
    backbone's channels, the mask generator with the backbone's ``cell_size`` unless its config has
    one.

    Args:
        backbone: with taps at T layers.
        mask_generator: which cells are hidden.
        neck: a decoder per tap.
        target_generator: what has to be predicted.
        head: the loss.
        data_preprocessor: as in mmpretrain's self-supervised models.
        init_cfg: as in mmengine.

    Raises:
        TypeError: the backbone or the target generator does not describe itself.
        ValueError: the parts do not go together.
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
        encoder, targets = MODELS.build(backbone), MODELS.build(target_generator)
        check_parts(encoder, targets)
        taps, maps = encoder.taps, targets.maps(encoder.image_channels)
        mask_generator = {"cell_size": encoder.cell_size, **mask_generator}
        check_strides(taps, maps, mask_generator["cell_size"], encoder.cell_size)
        super().__init__(
            backbone=encoder,
            neck=MODELS.build({**neck, "taps": taps, "maps": maps}),
            head=head,
            target_generator=targets,
            data_preprocessor=data_preprocessor,
            init_cfg=init_cfg,
        )
        self.mask_generator = MODELS.build(mask_generator)
        self._check_channels()

    def _check_channels(self) -> None:
        """Refuse a preprocessor that normalises another number of channels."""
        mean = getattr(self.data_preprocessor, "mean", None)
        channels = self.backbone.image_channels
        if mean is not None and mean.numel() not in (1, channels):
            raise ValueError(
                f"data_preprocessor has a mean of {mean.numel()} channels but the backbone "
                f"in_channels {channels}: give mean and std one value for each of {channels}"
            )

    def views(self, images: Tensor) -> Tensor:
        """What is masked and reconstructed: the images themselves.

        Args:
            images: (B, C, H, W), normalised.
        """
        return images

    def reconstruct(
        self, images: Tensor, mask: PatchMask, hidden_only: bool = False
    ) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Predictions and targets, T maps (B, D_t, h_t, w_t) each, for a given mask.

        Args:
            images: (B, C, H, W), normalised views.
            mask: which cells are hidden.
            hidden_only: predictions of what is visible are not needed.
        """
        skips = hidden_only and getattr(self.neck, "hidden_only", False)
        options = {"hidden_only": True} if skips else {}
        predictions = self.neck(self.backbone(images, mask), mask, **options)
        return predictions, self.target_generator(images)

    def loss(
        self, inputs: Tensor, data_samples: list[DataSample] | None = None
    ) -> dict[str, Tensor]:
        """Named losses, as the head has them, for a batch of normalised images (B, C, H, W)."""
        images = self.views(inputs)
        mask = self.mask_generator(images)
        hidden_only = getattr(self.head, "hidden_only", False)
        predictions, targets = self.reconstruct(images, mask, hidden_only)
        return self.head.loss(predictions, targets, mask)
