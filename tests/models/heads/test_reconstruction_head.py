import numpy as np
import pytest
import torch

from localmim.masking import PatchMask
from localmim.models import ReconstructionHead


def test_against_a_sum_over_positions():
    hidden = torch.tensor([[[1, 0], [1, 1]], [[0, 1], [1, 1]]], dtype=torch.bool)
    mask = PatchMask.from_hidden(hidden)
    shapes = [(2, 5, 4, 4), (2, 5, 2, 2), (2, 5, 1, 1)]
    predictions = [torch.randn(s).double() for s in shapes]
    targets = [torch.randn(s).double() for s in shapes]
    losses = ReconstructionHead().loss(predictions, targets, mask)
    weights = [
        lambda b, y, x: float(hidden[b, y // 2, x // 2]),
        lambda b, y, x: float(hidden[b, y, x]),
        lambda b, y, x: 0.75,
    ]
    assert list(losses) == ["loss_0", "loss_1", "loss_2"]
    for p, t, weight, loss in zip(predictions, targets, weights, losses.values(), strict=True):
        total = count = 0.0
        for b, y, x in np.ndindex(p.shape[0], *p.shape[2:]):
            w = weight(b, y, x)
            total += w * ((p[b, :, y, x] - t[b, :, y, x]) ** 2).mean().item()
            count += w
        assert loss.item() == pytest.approx(total / count, rel=1e-6)


def test_half_precision_predictions_are_compared_in_single():
    mask = PatchMask.from_hidden(torch.tensor([[[True, False]]]))
    prediction, target = torch.full((1, 1, 1, 2), 300.0), torch.zeros(1, 1, 1, 2)
    loss = ReconstructionHead().loss([prediction.half()], [target], mask)["loss_0"]
    assert loss.item() == 90000  # 300^2 overflows float16


def test_shapes_that_differ_are_refused():
    mask = PatchMask.from_hidden(torch.tensor([[[True, False]]]))
    with pytest.raises(ValueError, match=r"27, 1, 2\).*\(1, 54, 1, 2\).*does not give the maps"):
        ReconstructionHead().loss([torch.zeros(1, 27, 1, 2)], [torch.zeros(1, 54, 1, 2)], mask)
