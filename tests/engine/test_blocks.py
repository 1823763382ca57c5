"""Recomputed and compiled blocks against the plain ones."""

import copy

import pytest
import tiny
import torch
from mmpretrain.registry import MODELS
from torch._dynamo.testing import CompileCounterWithBackend

from localmim.engine.blocks import blocks_of, compile_blocks, recompute_blocks

BLOCKS = {
    "vit": 8 + 4,
    "swin": 8 + 4,
    "swin, a mask per image": 8 + 4,
    "convnext": 5 + 4,
    "lomar": 8,
    "a2mim vit": 8,
}
ALL = tiny.MODELS | tiny.OTHERS


@pytest.fixture(autouse=True)
def _forgotten():
    limit = torch._dynamo.config.recompile_limit
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()
    torch._dynamo.config.recompile_limit = limit


def build(kind, dtype=torch.float64):
    torch.manual_seed(0)
    return MODELS.build(ALL[kind]()).to(dtype).train()


def step(model, images, seed=0):
    """Losses and gradients."""
    torch.manual_seed(seed)
    model.zero_grad()
    losses = model.loss(images)
    sum(losses.values()).backward()
    gradients = {name: x.grad for name, x in model.named_parameters() if x.grad is not None}
    return losses, gradients


def assert_close(one, other, tolerance):
    for own, found in zip(one, other, strict=True):
        assert own.keys() == found.keys()
        for name, value in own.items():
            scale = value.abs().max().item() + 1e-12
            assert (value - found[name]).abs().max().item() <= tolerance * scale + 1e-12, name


def kept_by(model, images) -> int:
    """Numbers that the forward pass keeps for the backward pass."""
    kept = []

    def keep(tensor):
        kept.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model.loss(images)
    return sum(kept)


@pytest.mark.parametrize("kind", BLOCKS)
def test_recomputed_blocks_change_no_loss_and_no_gradient(kind):
    images = torch.randn(2, 3, 64, 64).double()
    plain, recomputed = build(kind), build(kind)
    assert len(recompute_blocks(recomputed, True)) == BLOCKS[kind]
    assert kept_by(recomputed, images) < 0.7 * kept_by(plain, images)
    assert_close(step(plain, images), step(recomputed, images), 1e-12)


def test_a_copy_computes_with_its_own_weights():
    images = torch.randn(2, 3, 64, 64).double()
    model = build("vit")
    recompute_blocks(model, True)
    copied = copy.deepcopy(model)
    before, _ = step(copied, images)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1.0)
    assert_close([before], [step(copied, images)[0]], 0)


def test_some_blocks_by_name_and_what_cannot_be():
    model = build("vit")
    assert recompute_blocks(model, "backbone.layers.0") == ["backbone.layers.0"]
    assert recompute_blocks(model, ["backbone.layers.1", "neck"])[1] == "neck"
    with pytest.raises(ValueError, match=r"no module backbone\.layer\.0; did you mean backb.*s\.0"):
        recompute_blocks(model, "backbone.layer.0")
    with pytest.raises(ValueError, match="has batch norms, whose running statistics"):
        recompute_blocks(build("resnet"), True)
    with pytest.raises(ValueError, match="no blocks are known of Linear; name its modules"):
        recompute_blocks(torch.nn.Linear(1, 1), True)


@pytest.mark.parametrize("kind", ["vit", "swin", "resnet", "lomar"])
def test_compiled_blocks_give_the_same_losses(kind):
    """By Dynamo and AOTAutograd, without generated code."""
    images = torch.randn(2, 3, 64, 64)
    plain, compiled = build(kind, torch.float32), build(kind, torch.float32)
    counter = CompileCounterWithBackend("aot_eager")
    assert len(compile_blocks(compiled, dict(backend=counter))) == len(blocks_of(plain)) >= 5
    for seed in range(2):
        assert_close(step(plain, images, seed), step(compiled, images, seed), 2e-4)
    assert counter.frame_count


def test_bfloat16_stays_near():
    images = torch.randn(2, 3, 64, 64)
    plain, compiled = build("vit", torch.float32), build("vit", torch.float32)
    compile_blocks(compiled, dict(backend="aot_eager"))
    with torch.autocast("cpu", torch.bfloat16):
        losses = [step(model, images)[0] for model in (plain, compiled)]
    assert_close(*[[x] for x in losses], 1e-2)


@pytest.mark.parametrize(("kind", "most"), [("vit", 6), ("swin", 12), ("lomar", 2)])
def test_no_mask_compiles_anew_after_the_first_few(kind, most):
    """A Swin's groups change their number with the mask, and a last batch may be smaller."""
    model = build(kind, torch.float32)
    counter = CompileCounterWithBackend("eager")
    compile_blocks(model, dict(backend=counter))
    counts = []
    for seed in range(12):
        step(model, torch.randn(2 if seed else 3, 3, 64, 64), seed)
        counts.append(counter.frame_count)
    assert counts[-1] <= most and counts[-1] == counts[5], counts


def test_compiled_and_recomputed_together():
    images = torch.randn(2, 3, 64, 64)
    plain, both = build("vit", torch.float32), build("vit", torch.float32)
    recompute_blocks(both, True)
    compile_blocks(both, dict(backend="aot_eager"))
    assert_close(step(plain, images), step(both, images), 2e-4)
