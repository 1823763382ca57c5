import numpy as np
import pytest
import torch
from mmengine.optim import OptimWrapper

from localmim.masking import PatchMask
from localmim.models import RandomMasking, ReconstructionHead


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


GRIDS = (28, 14, 7)  # finer than the cells, the cells, coarser


def maps_mask_and_loss(masking, images):
    """Predictions (B, 3, h, w) per grid of what is zero, their mask, the losses of a batch."""
    shapes = [(images, 3, side, side) for side in GRIDS]
    maps = [torch.nn.Parameter(torch.randn(shape).double()) for shape in shapes]
    mask = masking(torch.zeros(images, 3, 224, 224))
    targets = [torch.zeros_like(x) for x in maps]

    def loss(batch=slice(None)):
        part = PatchMask.from_hidden(mask.hidden[batch])
        return ReconstructionHead().loss(
            [x[batch] for x in maps], [x[batch] for x in targets], part
        )

    return maps, mask, loss


@pytest.mark.parametrize("ratio", [0.6, 0.75, 0.8])
def test_equal_batches_average_to_the_mean_over_all_hidden_positions(ratio):
    masking = RandomMasking(cell_size=16, ratio=ratio)
    _, _, loss = maps_mask_and_loss(masking, 8)
    parts = [loss(slice(first, first + 2)) for first in range(0, 8, 2)]
    for name, whole in loss().items():
        assert sum(part[name] for part in parts).item() / 4 == pytest.approx(
            whole.item(), rel=1e-12
        )


def test_a_smaller_accumulated_batch_counts_as_much_as_a_full_one():
    maps, mask, loss = maps_mask_and_loss(RandomMasking(cell_size=16), 6)
    model = torch.nn.ParameterList(maps)
    wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=1.0), accumulative_counts=2)
    wrapper.initialize_count_status(model, 0, 2)
    before = [x.detach().clone() for x in maps]
    for batch in (slice(0, 4), slice(4, 6)):
        wrapper.update_params(sum(loss(batch).values()))
    for was, now, side in zip(before, maps, GRIDS, strict=True):
        weight = mask.at((side, side)).double()[:, None]
        of_image = torch.tensor([1 / 4] * 4 + [1 / 2] * 2).double()[:, None, None, None] / 2
        gradient = of_image * weight / weight.sum(dim=(2, 3), keepdim=True) * 2 * was / 3
        torch.testing.assert_close(was - now, gradient, rtol=1e-12, atol=1e-15)
