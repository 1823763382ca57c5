import math

import numpy as np
import pytest
import timm
import tiny
import torch
from mmpretrain.models import BEiTViT, SwinTransformer, VisionTransformer
from mmpretrain.registry import MODELS

from localmim.analysis import (
    attention_distance,
    attention_entropy,
    attention_maps,
    normalized_mutual_information,
)


def test_attention_is_the_softmax_of_timms_own_model():
    """Without its class token, whose share goes to the others in proportion."""
    torch.manual_seed(0)
    model = timm.create_model("vit_tiny_patch16_224", img_size=64).eval()
    images, expected = torch.randn(2, 3, 64, 64), []
    for block in model.blocks:
        block.attn.fused_attn = False  # softmax by itself
        block.attn.attn_drop.register_forward_hook(lambda _m, _i, out: expected.append(out))
    found = attention_maps(model, images, extra_tokens=1)
    model(images)
    assert len(found) == 12 and len(expected) == 24
    for ours, whole in zip(found, expected, strict=False):
        patches = whole[:, :, 1:, 1:]
        torch.testing.assert_close(ours, patches / patches.sum(-1, keepdim=True))


def test_a_trained_backbone_attends_as_mmpretrains_encoder():
    model = MODELS.build(tiny.localmim()).eval()
    settings = dict(arch=tiny.ARCH, img_size=64, patch_size=16, out_type="raw")
    plain = VisionTransformer(**settings)
    plain.eval()
    plain.load_state_dict(model.backbone.state_dict())
    images = torch.randn(1, 3, 64, 64)
    pairs = (attention_maps(encoder, images, 1) for encoder in (model.backbone, plain))
    for ours, theirs in zip(*pairs, strict=True):
        torch.testing.assert_close(ours, theirs)
        assert ours.shape[2:] == (16, 16)


def test_mutual_information_of_known_cases():
    uniform = torch.full((2, 9, 9), 1 / 9)
    permutation = torch.eye(9)[torch.randperm(9)].expand(2, 9, 9)
    assert normalized_mutual_information(uniform).tolist() == pytest.approx([0, 0], abs=1e-12)
    assert normalized_mutual_information(permutation).tolist() == pytest.approx([1, 1])
    # All attend to one key, which says nothing of them.
    one = torch.zeros(9, 9)
    one[:, 4] = 1
    assert float(normalized_mutual_information(one)) == 0
    # Three groups of queries that attend within themselves: log 3 of information.
    groups = torch.block_diag(*[torch.full((3, 3), 1 / 3)] * 3)
    assert float(normalized_mutual_information(groups)) == pytest.approx(math.log(3) / math.log(9))
    assert attention_entropy(uniform).tolist() == pytest.approx([math.log(9)] * 2)
    assert attention_entropy(permutation).tolist() == [0, 0]


def test_mutual_information_by_its_definition():
    attention = torch.rand(6, 6, dtype=torch.float64).softmax(-1)
    joint = attention.numpy() / 6
    queries, keys = joint.sum(1), joint.sum(0)
    information = (joint * np.log(joint / np.outer(queries, keys))).sum()
    entropies = [-(p * np.log(p)).sum() for p in (queries, keys)]
    expected = information / math.sqrt(entropies[0] * entropies[1])
    assert float(normalized_mutual_information(attention)) == pytest.approx(expected)


def test_distances_are_pixels():
    shift = torch.eye(6).roll(1, 1)  # to the next patch of a grid of 2 x 3
    steps = [1, 1, math.hypot(1, 2), 1, 1, math.hypot(1, 2)]
    found = attention_distance(shift, (2, 3), 16)
    assert float(found) == pytest.approx(16 * np.mean(steps))
    assert float(attention_distance(torch.eye(6), (2, 3), 16)) == 0


def test_what_attends_by_more_is_refused():
    swin = SwinTransformer(img_size=64, window_size=2)
    with pytest.raises(TypeError, match="SwinTransformer attends by more than queries and keys"):
        attention_maps(swin, torch.randn(1, 3, 64, 64), 0)
    for name in ("lomar", "swin"):
        encoder = MODELS.build((tiny.MODELS | tiny.OTHERS)[name]()).backbone
        with pytest.raises(TypeError, match="attends by more than queries and keys"):
            attention_maps(encoder, torch.randn(1, 3, 64, 64), 0)
    beit = BEiTViT(arch=tiny.ARCH, img_size=64)
    with pytest.raises(TypeError, match="BEiTViT attends by more than queries and keys"):
        attention_maps(beit, torch.randn(1, 3, 64, 64), 1)
    normed = timm.models.VisionTransformer(64, embed_dim=32, depth=1, num_heads=4, qk_norm=True)
    with pytest.raises(TypeError, match=r"Attention has q_norm"):
        attention_maps(normed, torch.randn(1, 3, 64, 64), 1)
    with pytest.raises(TypeError, match="Linear has no attention"):
        attention_maps(torch.nn.Linear(3, 3), torch.randn(1, 3), 0)
