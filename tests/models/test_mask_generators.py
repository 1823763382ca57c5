import pytest
import torch

from localmim.models import RandomMasking


@pytest.mark.parametrize(
    ("ratio", "size", "visible"),
    [(0.75, (224, 224), 49), (0.75, (128, 224), 28), (0.9, (32, 80), 1), (0.6, (112, 112), 19)],
)
def test_keeps_the_stated_part(ratio, size, visible):
    mask = RandomMasking(16, ratio)(torch.zeros(3, 5, *size))
    assert mask.visible.shape == (3, visible)
    assert (~mask.hidden).flatten(1).sum(1).tolist() == [visible] * 3


def test_each_image_has_its_own_mask_and_each_cell_the_same_chance():
    generator = RandomMasking(16, 0.75)
    mask = generator(torch.zeros(4000, 1, 64, 64))
    assert not mask.hidden[0].equal(mask.hidden[1])
    # Standard error of a rate of 0.75 over 4000 draws is 0.007.
    assert (mask.hidden.float().mean(0) - 0.75).abs().max() < 0.03


def test_shared_masks_are_one_for_the_batch_and_another_for_the_next():
    generator = RandomMasking(32, 0.75, shared=True)
    first, second = (generator(torch.zeros(4, 3, 224, 224)) for _ in range(2))
    assert first.hidden.shape == (4, 7, 7) and first.on_cpu().shape == (1, 7, 7)
    assert first.hidden.equal(first.hidden[:1].expand(4, -1, -1))
    assert first.visible.shape == (4, 12)  # 37 of 49 hidden, as in the released code
    assert not first.hidden.equal(second.hidden)


def test_follows_torch_seed():
    generator = RandomMasking(16)
    masks = []
    for _ in range(2):
        torch.manual_seed(3)
        masks.append(generator(torch.zeros(2, 3, 64, 64)).hidden)
    assert masks[0].equal(masks[1])


@pytest.mark.parametrize("ratio", [0, 1, -0.1, 1.5])
def test_ratio_outside_the_unit_interval_is_refused(ratio):
    with pytest.raises(ValueError, match=rf"ratio.*\(0, 1\), got {ratio}"):
        RandomMasking(16, ratio)


def test_images_that_are_no_multiple_of_the_cell_are_refused():
    with pytest.raises(ValueError, match="100x224 pixels do not divide.*16x16.*96x224"):
        RandomMasking(16)(torch.zeros(1, 3, 100, 224))


def test_grids_too_small_for_the_ratio_are_refused():
    with pytest.raises(ValueError, match="leaves 0 of 1x2 cells visible"):
        RandomMasking(16, 0.75)(torch.zeros(1, 3, 16, 32))


@pytest.mark.parametrize(
    ("rounding", "ratio", "hidden"),
    [("up", 0.8, 40), ("down", 0.8, 39), ("up", 0.6, 30), ("down", 0.6, 29), ("down", 20 / 49, 20)],
)
def test_hidden_cells_of_49_are_rounded_either_way(rounding, ratio, hidden):
    mask = RandomMasking(16, ratio, rounding=rounding)(torch.zeros(2, 3, 112, 112))
    assert mask.hidden.flatten(1).sum(1).tolist() == [hidden] * 2


def test_an_unknown_rounding_is_refused():
    with pytest.raises(ValueError, match='"up" or "down", got \'nearest\''):
        RandomMasking(16, rounding="nearest")
