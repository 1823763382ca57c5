"""The reconstruction loss, one per scale."""

from collections.abc import Sequence

from mmengine.model import BaseModule
from mmpretrain.registry import MODELS
from torch import Tensor

from localmim.masking import PatchMask

from .base import check_shapes


@MODELS.register_module()
class ReconstructionHead(BaseModule):
    """Squared error on hidden positions (Wang et al. 2023, equation of the local loss).

    Each batch of a process is averaged by itself, and a step by several processes or of several
    accumulated batches takes the plain mean of their gradients. Masks here hide equally many
    positions of every image, so that this is the mean over all hidden positions as long as the
    batches have equally many images. A smaller last batch (``drop_last=False``) counts as much as
    a full one: each of its images counts for more.

    Attributes:
        hidden_only: says to the model that predictions of what is visible are not looked at.
    """

    hidden_only = True

    def loss(
        self, predictions: Sequence[Tensor], targets: Sequence[Tensor], mask: PatchMask
    ) -> dict[str, Tensor]:
        """One loss per tap; their plain sum is the loss of the model.

        Args:
            predictions: per tap (B, D, h, w).
            targets: per tap the same shape.
            mask: weights every position by the hidden fraction of its area.

        Returns:
            ``{"loss_0": ..., "loss_{T-1}": ...}``: the error averaged over channels, then over
            the hidden positions of the whole batch, sum(error * m) / sum(m).
        """
        check_shapes(predictions, targets)
        losses = {}
        for tap, (prediction, target) in enumerate(zip(predictions, targets, strict=True)):
            error = (prediction.to(target.dtype) - target).square().mean(dim=1)
            weight = mask.at(error.shape[1:]).to(error.dtype)
            losses[f"loss_{tap}"] = (error * weight).sum() / weight.sum()
        return losses
