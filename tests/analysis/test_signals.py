import math

import numpy as np
import pytest
import tiny
import torch
from mmpretrain.registry import MODELS

from localmim.analysis import Skill, effective_rank, gradient_norms
from localmim.analysis.signals import part_of, visible_features
from localmim.masking import PatchMask


def masks(batch, seed=0):
    scores = torch.rand(batch, 4, 4, generator=torch.Generator().manual_seed(seed))
    return PatchMask.from_scores(scores, 4)


def test_skill_is_the_share_of_the_means_error_that_is_gone():
    """By a loop over hidden positions, batch after batch."""
    generator = torch.Generator().manual_seed(1)
    targets = torch.randn(6, 5, 8, 8, generator=generator) * torch.arange(1.0, 6.0)[:, None, None]
    predictions = targets + 0.5 * torch.randn(targets.shape, generator=generator)
    mask = masks(6)
    skill = Skill()
    for part in (slice(0, 4), slice(4, 6)):
        of_part = PatchMask(mask.hidden[part], mask.visible[part])
        skill.add((predictions[part],), (targets[part],), of_part)
    rows, guesses = [], []
    for b in range(6):
        for y in range(8):
            for x in range(8):
                if mask.hidden[b, y // 2, x // 2]:
                    rows.append(targets[b, :, y, x].double().numpy())
                    guesses.append(predictions[b, :, y, x].double().numpy())
    rows, guesses = np.array(rows), np.array(guesses)
    expected = 1 - ((guesses - rows) ** 2).mean() / ((rows - rows.mean(0)) ** 2).mean()
    assert skill.of_scales() == [pytest.approx(expected, rel=1e-9)]


def test_skill_knows_the_mean_the_truth_and_targets_without_variance():
    targets, mask = torch.randn(3, 2, 8, 8, dtype=torch.float64), masks(3)
    hidden = mask.hidden_at((8, 8))[:, None].expand_as(targets)
    means = torch.stack([targets[:, c][hidden[:, c]].mean() for c in range(2)])
    skill = Skill()
    constant = means[None, :, None, None].expand_as(targets)
    maps = (targets, targets, torch.ones_like(targets))
    skill.add((constant, targets, torch.zeros_like(targets)), maps, mask)
    nothing, everything, undefined = skill.of_scales()
    assert nothing == pytest.approx(0, abs=1e-9) and everything == 1 and math.isnan(undefined)


@pytest.mark.parametrize("shape", [(100, 12), (12, 100)])
def test_effective_rank_counts_directions(shape):
    count, width = shape
    for rank in (1, 3, 12):
        basis = torch.linalg.qr(torch.randn(width, rank, dtype=torch.float64))[0]
        weights = torch.linalg.qr(torch.randn(count, rank, dtype=torch.float64))[0]
        features = weights @ basis.T  # `rank` equal singular values
        assert effective_rank(features) == pytest.approx(rank, rel=1e-3)
    assert math.isnan(effective_rank(torch.full(shape, float("nan"))))
    features = torch.randn(shape, dtype=torch.float64)
    singular = np.linalg.svd(features.numpy(), compute_uv=False)
    shares = singular / singular.sum() + 1e-7
    assert effective_rank(features) == pytest.approx(np.exp(-(shares * np.log(shares)).sum()))


@pytest.mark.parametrize("kind", ["vit", "swin", "resnet"])
def test_features_of_visible_positions_and_norms_of_all_parts(kind):
    model = MODELS.build((tiny.MODELS | tiny.OTHERS)[kind]()).eval()
    images = torch.randn(2, 3, 64, 64)
    mask = model.mask_generator(images)
    features = model.backbone(images, mask)
    found = visible_features(model, features, mask)
    visible = 2 * mask.visible.shape[1]
    for tap, x in zip(model.backbone.taps, found, strict=True):
        fine = max(model.backbone.cell_size // tap.stride, 1) ** 2
        assert x.shape == (visible * fine, tap.channels)
    loss = sum(model.head.loss(*model.reconstruct(images, mask), mask).values())
    norms = gradient_norms(model, loss)
    assert all(x.grad is None for x in model.parameters())
    loss = sum(model.head.loss(*model.reconstruct(images, mask), mask).values())
    loss.backward()
    expected = {}
    for name, x in model.named_parameters():
        if x.grad is not None:
            expected.setdefault(part_of(name), []).append(x.grad.flatten())
    assert norms.keys() == expected.keys()
    for part, gradients in expected.items():
        assert norms[part] == pytest.approx(float(torch.cat(gradients).norm()), rel=1e-4)


def test_parts_are_blocks():
    assert part_of("backbone.layers.3.attn.qkv.weight") == "backbone.layers.3"
    assert part_of("neck.decoders.0.norm.bias") == "neck.decoders.0"
    assert part_of("backbone.patch_embed.projection.weight") == "backbone.patch_embed"
    assert part_of("backbone.pos_embed") == "backbone"
