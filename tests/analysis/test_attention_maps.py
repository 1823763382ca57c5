"""Attention that is computed again, against the softmax of the libraries' own models."""

import pytest
import timm
import tiny
import torch
from mmpretrain.models import BEiTViT, SwinTransformer, VisionTransformer
from mmpretrain.registry import MODELS
from slow_lomar import buckets
from torch import nn

from localmim.analysis import attention_maps


def among_patches(attention, extra=1):
    """Without the class token, whose share goes to the others in proportion."""
    patches = attention[:, :, extra:, extra:]
    return patches / patches.sum(-1, keepdim=True)


def softmaxes(model, images, modules):
    """What given modules put out when a model runs."""
    found = []
    handles = [m.register_forward_hook(lambda _m, _i, out: found.append(out)) for m in modules]
    model(images)
    for handle in handles:
        handle.remove()
    return found


@torch.no_grad()
def randomised(model):
    """Relative positions that matter."""
    for name, tensor in model.named_parameters():
        if "relative_position_bias_table" in name or "irpe" in name:
            tensor.normal_()
    model.eval()
    return model


def test_attention_is_the_softmax_of_timms_own_model():
    torch.manual_seed(0)
    model = timm.create_model("vit_tiny_patch16_224", img_size=64).eval()
    images = torch.randn(2, 3, 64, 64)
    found = attention_maps(model, images)
    for block in model.blocks:
        block.attn.fused_attn = False  # softmax by itself
    expected = softmaxes(model, images, [block.attn.attn_drop for block in model.blocks])
    assert len(found) == len(expected) == 12
    for ours, whole in zip(found, expected, strict=True):
        torch.testing.assert_close(ours.shares[:, 0], among_patches(whole))
        assert ours.grid == (4, 4) and ours.stride == 16


def test_beits_positions_are_part_of_it():
    torch.manual_seed(0)
    model = randomised(BEiTViT(arch=tiny.ARCH, img_size=64))
    images = torch.randn(2, 3, 64, 64)
    found = attention_maps(model, images)
    expected = softmaxes(model, images, [layer.attn.attn_drop for layer in model.layers])
    for ours, whole in zip(found, expected, strict=True):
        torch.testing.assert_close(ours.shares[:, 0], among_patches(whole))


@pytest.mark.parametrize("ours", [True, False], ids=["SparseSwin", "SwinTransformer"])
def test_swins_attend_within_windows(ours):
    """As mmpretrain's own windows, and to nothing outside them."""
    torch.manual_seed(0)
    model = MODELS.build(tiny.MODELS["swin"]()).backbone
    if not ours:
        model = SwinTransformer(img_size=64, window_size=2)
    randomised(model)
    images = torch.randn(2, 3, 64, 128)
    found = attention_maps(model, images)
    blocks = [block for stage in model.stages for block in stage.blocks]
    expected = softmaxes(model, images, [block.attn.w_msa.attn_drop for block in blocks])
    shifted = 0
    for attention, theirs, block in zip(found, expected, blocks, strict=True):
        torch.testing.assert_close(attention.shares.flatten(0, 1), theirs)
        rows, cols = attention.grid
        assert (rows * attention.stride, cols * attention.stride) == (64, 128)
        assert sorted(attention.places.flatten().tolist()) == list(range(rows * cols))
        # From a patch's place to the places it attends to: a window, which ends where the map does.
        reached = attention.of_patch(rows // 2, cols // 2)[0].nonzero()
        window = block.attn.window_size
        assert int((reached.amax(0) - reached.amin(0)).max()) < window
        shifted += bool((attention.shares[0] < 1e-30).any())
    assert shifted >= 1


def test_lomars_positions_are_part_of_it():
    """The first layer by the slow formula."""
    torch.manual_seed(0)
    model = randomised(MODELS.build(tiny.OTHERS["lomar"]()).backbone)
    images = torch.randn(2, 3, 64, 64)
    found = attention_maps(model, images)
    layer, tokens = model.layers[0], model.patch_embed(images)[0]
    tokens = torch.cat([model.cls_token.expand(2, -1, -1), tokens], 1)
    projected = layer.attn.qkv(layer.ln1(tokens)).unflatten(2, (3, layer.attn.num_heads, -1))
    query, key, _ = projected.permute(2, 0, 3, 1, 4)
    scores = query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5
    index = buckets(4).expand(*query.shape[:2], -1, -1)
    scores = scores + (query @ layer.attn.irpe.table[0]).gather(-1, index)
    torch.testing.assert_close(found[0].shares[:, 0], among_patches(scores.softmax(-1)))
    assert len(found) == len(model.layers)


def test_a_trained_backbone_attends_as_mmpretrains_encoder():
    model = MODELS.build(tiny.localmim()).eval()
    settings = dict(arch=tiny.ARCH, img_size=64, patch_size=16, out_type="raw")
    plain = VisionTransformer(**settings)
    plain.eval()
    plain.load_state_dict(model.backbone.state_dict())
    images = torch.randn(1, 3, 64, 64)
    pairs = (attention_maps(encoder, images) for encoder in (model.backbone, plain))
    for ours, theirs in zip(*pairs, strict=True):
        torch.testing.assert_close(ours.shares, theirs.shares)
        assert ours.shares.shape[3:] == (16, 16)


def test_what_is_not_known_is_refused():
    normed = timm.models.VisionTransformer(64, embed_dim=32, depth=1, num_heads=4, qk_norm=True)
    with pytest.raises(TypeError, match=r"by more than is known here \(Attention has q_norm"):
        attention_maps(normed, torch.randn(1, 3, 64, 64))
    with pytest.raises(TypeError, match="Linear has no attention that is known"):
        attention_maps(nn.Linear(3, 3), torch.randn(1, 3))
    swin = timm.create_model("swin_tiny_patch4_window7_224")
    with pytest.raises(TypeError, match="WindowAttention has relative_position_bias_table"):
        attention_maps(swin, torch.randn(1, 3, 224, 224))
    padded = SwinTransformer(img_size=64, window_size=2, pad_small_map=True)
    with pytest.raises(ValueError, match="windows of 2 do not divide a map of 3x3"):
        attention_maps(padded, torch.randn(1, 3, 96, 96))
