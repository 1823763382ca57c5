"""A2MIM's losses on pixels and on their spectrum."""

from collections.abc import Sequence

import torch
from mmengine.model import BaseModule
from mmpretrain.registry import MODELS
from torch import Tensor

from localmim.masking import PatchMask

from .base import check_shapes


def pixel_loss(error: Tensor, hidden: Tensor, focal: bool) -> Tensor:
    """Mean absolute error of hidden pixels.

    Args:
        error: (B, C, H, W), absolute.
        hidden: (B, 1, H, W), 1 where hidden.
        focal: weight each error e by 2 sigmoid(0.2 e) - 1 (focal L1, Yang et al. 2021).
    """
    if focal:
        error = error * (2 * torch.sigmoid(0.2 * error) - 1)
    return (error * hidden).sum() / (hidden.sum() + 1e-5) / error.shape[1]


def focal_frequency_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """Squared distance of mean spectra, more where it is large (Jiang et al. 2021).

    The spectra (orthonormal two-dimensional FFT) are averaged over the batch. The squared distance
    d2 of each frequency and channel is weighted by log(1 + sqrt(d2)), divided by its maximum;
    no gradient passes through the weights.

    Args:
        prediction, target: (B, C, H, W).
    """
    difference = torch.fft.fft2((prediction - target).mean(dim=0), norm="ortho")
    squared = difference.real.square() + difference.imag.square()
    weight = squared.detach().sqrt().log1p()
    weight = (weight / weight.max()).nan_to_num(0.0).clamp(0.0, 1.0)
    return (weight * squared).mean()


@MODELS.register_module()
class FrequencyHead(BaseModule):
    """Absolute error on hidden pixels and focal frequency loss (Li et al. 2023, section 4).

    For the frequency loss the prediction P is mixed with the image X where pixels are visible: with
    w = m + (1 - m) u, m the mask, it is P w + (0.5 stopgrad(P) + 0.5 X) (1 - w).

    The frequency loss is of the mean spectrum of a process's batch. It depends on how many images
    a process takes at once, not on the total batch alone; the loss on pixels does not.

    Args:
        focal: focal L1 instead of L1 on pixels (CNNs).
        frequency_weight: weight of the frequency loss; it is not computed if 0.
        visible_weight: u, how much of the gradient passes at visible pixels in the frequency loss.
    """

    def __init__(
        self, focal: bool = False, frequency_weight: float = 0.1, visible_weight: float = 0.0
    ) -> None:
        super().__init__()
        if frequency_weight < 0 or not 0 <= visible_weight <= 1:
            raise ValueError(
                "frequency_weight must not be negative and visible_weight must lie in [0, 1], got "
                f"{frequency_weight} and {visible_weight}"
            )
        self.focal = focal
        self.frequency_weight = frequency_weight
        self.visible_weight = visible_weight

    def loss(
        self, predictions: Sequence[Tensor], targets: Sequence[Tensor], mask: PatchMask
    ) -> dict[str, Tensor]:
        """The losses of a single tap; their sum is the loss of the model.

        Args:
            predictions: one map of pixels (B, C, H, W).
            targets: the images, of the same shape.
            mask: which cells are hidden.

        Returns:
            ``{"loss_pixel": ..., "loss_frequency": ...}``, weighted.
        """
        check_shapes(predictions, targets)
        (image,) = targets
        prediction = predictions[0].to(image.dtype)
        hidden = mask.hidden_at(tuple(image.shape[2:])).unsqueeze(1).to(image.dtype)
        losses = {"loss_pixel": pixel_loss((prediction - image).abs(), hidden, self.focal)}
        if self.frequency_weight:
            weight = hidden + (1 - hidden) * self.visible_weight
            mixed = 0.5 * prediction.detach() + 0.5 * image
            mixed = prediction * weight + mixed * (1 - weight)
            frequency = focal_frequency_loss(mixed, image)
            losses["loss_frequency"] = self.frequency_weight * frequency
        return losses
