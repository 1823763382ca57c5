import torch

from localmim.masking import PatchMask
from localmim.models import RandomMasking, ReleasedSwin, SparseSwin

ARCH = dict(embed_dims=8, depths=[2, 2, 2, 2], num_heads=[1, 2, 4, 4])


def build() -> tuple[ReleasedSwin, SparseSwin]:
    """Both in float64 with the same weights, all different from zero."""
    released, exact = (
        kind(arch=ARCH, img_size=96, window_size=3).double() for kind in (ReleasedSwin, SparseSwin)
    )
    released.eval()
    exact.eval()
    with torch.no_grad():
        for parameter in released.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    exact.load_state_dict(released.state_dict())
    return released, exact


def test_features_are_the_exact_ones_in_the_first_stage_only():
    """Why it is a class of its own; the reference figures show that it is the released code."""
    released, exact = build()
    images = torch.randn(2, 3, 96, 96).double()
    nothing_hidden = PatchMask.from_hidden(torch.zeros(2, 3, 3, dtype=torch.bool))
    for mask in (nothing_hidden, RandomMasking(32, 0.5)(images)):
        taps = list(zip(released(images, mask), exact(images, mask), strict=True))
        assert taps[0][0].equal(taps[0][1])
        assert all((a - b).abs().max() > 1e-3 for a, b in taps[1:])


def test_without_a_mask_it_is_the_parent():
    released, exact = build()
    images = torch.randn(1, 3, 96, 96).double()
    assert all(a.equal(b) for a, b in zip(released(images), exact(images), strict=True))


def test_tokens_of_later_stages_lie_where_their_number_reads_row_by_row():
    # Cells of 2x2 tokens in two images of 2x2 cells, so rows of 4 tokens: the second cell's tokens
    # 4 to 7 are read as the second row, the third's 8 to 11 as the third row.
    hidden = torch.tensor([[[1, 0], [1, 1]], [[1, 1], [0, 1]]], dtype=torch.bool)
    mask = PatchMask.from_hidden(hidden)
    swin, _ = build()
    places = swin._places(1, mask, 2)
    assert places.image.tolist() == [0] * 4 + [1] * 4
    assert places.row.tolist() == [1] * 4 + [2] * 4
    assert places.col.tolist() == [0, 1, 2, 3] * 2
    first = swin._places(0, mask, 2)
    assert first.row.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert first.col.tolist() == [2, 3, 2, 3, 0, 1, 0, 1]
