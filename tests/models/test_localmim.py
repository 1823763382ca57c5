import pytest
import tiny
import torch
from mmpretrain.registry import MODELS

PIXELS = {"swin": (8, 16, 32, 32)}


@pytest.fixture(params=tiny.MODELS)
def kind(request):
    return request.param


@pytest.mark.filterwarnings("ignore:window_size")
@pytest.mark.parametrize(("size", "channels", "bins"), [((128, 224), 5, 9), ((64, 64), 1, 18)])
def test_other_sizes_channels_and_bins_train(kind, size, channels, bins):
    torch.manual_seed(0)
    model = MODELS.build(tiny.MODELS[kind](size, channels, bins))
    model.init_weights()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    images = torch.randn(4, channels, *size).cumsum(2).cumsum(3) / 20
    history = []
    for _ in range(12):
        losses = model.loss(images)
        assert list(losses) == ["loss_0", "loss_1", "loss_2", "loss_3"]
        total = sum(losses.values())
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        history.append(total.item())
    assert history[-1] < 0.8 * history[0]
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)


def test_each_loss_reaches_its_own_tap_and_the_first_layer(kind):
    torch.manual_seed(0)
    model = MODELS.build(tiny.MODELS[kind]())
    images = torch.randn(2, 3, 64, 64)
    mask = model.mask_generator(images)
    taps = model.backbone(images, mask)
    copies = [tap.detach().requires_grad_() for tap in taps]
    losses = model.head.loss(model.neck(copies, mask), model.target_generator(images), mask)
    first = next(p for p in model.backbone.parameters() if p.requires_grad and p.ndim == 4)
    for number, loss in enumerate(losses.values()):
        gradients = torch.autograd.grad(loss, copies, allow_unused=True, retain_graph=True)
        reached = [g is not None and g.abs().sum() > 0 for g in gradients]
        assert reached == [number == other for other in range(4)]
        (upstream,) = torch.autograd.grad(taps[number], first, gradients[number], retain_graph=True)
        assert upstream.abs().sum() > 0


def test_a_single_tap_is_not_localmim():
    config = tiny.localmim(out_indices=(-1,))
    config["target_generator"]["cells"] = (16,)
    with pytest.raises(ValueError, match="two taps or more.*MaskedImageModel"):
        MODELS.build(config)


@pytest.mark.parametrize("target", ["MultiScaleHOG", "MultiScalePixels"])
def test_mixed_precision_is_close_to_single_and_gives_all_gradients(kind, target):
    config = tiny.MODELS[kind]()
    if target == "MultiScalePixels":
        sizes = PIXELS.get(kind.split(",")[0], (4, 8, 16, 32))
        config["target_generator"] = dict(type=target, patch_sizes=sizes)
    model = MODELS.build(config)
    model.init_weights()
    images, losses = torch.randn(2, 3, 64, 64), []
    for dtype in (torch.float32, torch.bfloat16):
        torch.manual_seed(0)
        model.zero_grad()
        with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
            total = sum(model.loss(images).values())
        total.backward()
        assert total.dtype == torch.float32
        assert all(p.grad.isfinite().all() for p in model.parameters() if p.requires_grad)
        losses.append(total.item())
    assert losses[1] == pytest.approx(losses[0], rel=1e-2)
