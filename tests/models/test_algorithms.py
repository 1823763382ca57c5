"""What holds for every algorithm."""

import pytest
import tiny
import torch
from mmpretrain.registry import MODELS

ALGORITHMS = tiny.MODELS | tiny.OTHERS


@pytest.fixture(params=ALGORITHMS)
def kind(request):
    return request.param


def build(kind, *settings):
    torch.manual_seed(0)
    model = MODELS.build(ALGORITHMS[kind](*settings))
    model.init_weights()
    return model


def test_extract_feat_is_the_dense_backbone(kind):
    model = build(kind).eval()
    images = torch.randn(2, 3, 64, 64)
    for a, b in zip(model(images, mode="tensor"), model.backbone(images), strict=True):
        assert a.equal(b)


@pytest.mark.parametrize("kind", tiny.OTHERS)
@pytest.mark.parametrize(("size", "channels"), [((128, 192), 5), ((64, 64), 1)])
def test_other_sizes_and_channels_train(kind, size, channels):
    model = build(kind, size, channels)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    images = torch.randn(4, channels, *size).cumsum(2).cumsum(3) / 20
    history = []
    for step in range(16):
        torch.manual_seed(step % 4)
        losses = model.loss(images)
        total = sum(losses.values())
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        history.append(total.item())
    assert sum(history[-4:]) < 0.95 * sum(history[:4])
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)


@pytest.mark.parametrize("kind", tiny.OTHERS)
def test_mixed_precision_is_close_to_single_and_gives_all_gradients(kind):
    model, images, losses = build(kind), torch.randn(2, 3, 64, 64), []
    for dtype in (torch.float32, torch.bfloat16):
        torch.manual_seed(0)
        model.zero_grad()
        with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
            total = sum(model.loss(images).values())
        total.backward()
        assert total.dtype == torch.float32
        assert all(p.grad.isfinite().all() for p in model.parameters() if p.requires_grad)
        losses.append(total.item())
    assert losses[1] == pytest.approx(losses[0], rel=2e-2)


@pytest.mark.gpu
def test_a_training_step_on_a_gpu_waits_for_nothing(kind):
    model = build(kind).cuda()
    images = torch.randn(2, 3, 64, 64, device="cuda")
    sum(model.loss(images).values()).backward()
    torch.cuda.set_sync_debug_mode("error")
    try:
        with torch.autocast("cuda", torch.bfloat16):
            sum(model.loss(images).values()).backward()
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.gpu
def test_gpu_and_cpu_agree(kind):
    model = build(kind).double()
    images = model.views(torch.randn(2, 3, 64, 64).double())
    mask = model.mask_generator(images)
    model.eval()  # stochastic depth draws on the device
    cpu = model.reconstruct(images, mask)
    mask = type(mask)(mask.hidden.cuda(), mask.visible.cuda(), mask.drawn)
    gpu = model.cuda().reconstruct(images.cuda(), mask)
    for a, b in zip(sum(cpu, ()), sum(gpu, ()), strict=True):
        torch.testing.assert_close(a, b.cpu(), rtol=1e-9, atol=1e-9)
