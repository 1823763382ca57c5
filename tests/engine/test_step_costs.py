import pytest
import tiny
import torch
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from localmim.engine.matrix_ceiling import matrix_ceiling
from localmim.engine.step_costs import REST, Parts, StepCounter

B, SIDE, PATCH, WIDTH, DEPTH, HIDDEN = 2, 32, 8, 16, 3, 40
N = (SIDE // PATCH) ** 2 + 1  # tokens, a class token among them


@pytest.fixture
def vit():
    init_default_scope("mmpretrain")
    arch = dict(embed_dims=WIDTH, num_layers=DEPTH, num_heads=2, feedforward_channels=HIDDEN)
    return MODELS.build(
        dict(type="VisionTransformer", arch=arch, img_size=SIDE, patch_size=PATCH, out_type="raw")
    )


def written_out(tokens: int) -> tuple[int, int]:
    """Operations of the linear layers and of attention, forward, of a ViT with 3-channel images."""
    patches = (SIDE // PATCH) ** 2 * 3 * PATCH**2 * WIDTH
    linear = DEPTH * tokens * WIDTH * (3 * WIDTH + WIDTH + 2 * HIDDEN)
    attention = DEPTH * 2 * tokens**2 * WIDTH
    return 2 * B * (patches + linear), 2 * B * attention


def test_a_vit_costs_what_its_formula_says(vit):
    parts = Parts(vit)
    with parts.watched(), StepCounter(parts) as counter:
        loss = vit(torch.randn(B, 3, SIDE, SIDE))[0].sum()
        forward = counter.total.flops
        loss.backward()
    linear, attention = written_out(N)
    assert forward == linear + attention
    # Backward: two products for each linear layer (the images need no gradient), and in fused
    # attention five for two, because it computes the scores again.
    patches = 2 * B * (SIDE // PATCH) ** 2 * 3 * PATCH**2 * WIDTH
    backward = counter.total.flops - forward
    assert backward == pytest.approx(2 * linear - patches + 5 * attention / 2, abs=0)


def test_totals_are_those_of_torch():
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(8 * 36, 5))
    images = torch.randn(2, 3, 8, 8, requires_grad=True)
    with FlopCounterMode(display=False) as theirs:
        net(images).sum().backward()
    with StepCounter() as ours:
        net(images).sum().backward()
    assert ours.total.flops == theirs.get_total_flops() > 0


def test_a_grouped_convolution_costs_each_gradient_its_forward():
    conv = nn.Conv2d(6, 6, 3, padding=1, groups=6)
    with StepCounter() as counter:
        conv(torch.randn(2, 6, 8, 8, requires_grad=True)).sum().backward()
    assert counter.total.flops == 3 * 2 * (2 * 6 * 64 * 9)


def test_bytes_of_operations():
    x, y, row = torch.randn(4, 8), torch.randn(4, 8), torch.randn(8)
    for function, expected in [
        (lambda: x + y, 3 * 128),
        (lambda: x.add_(y), 3 * 128),
        (lambda: x.t().view(2, 16), None),
        (lambda: x.view(2, 16), 0),
        (lambda: torch.empty(1000), 0),
        (lambda: row.expand(4, 8) + x, 32 + 2 * 128),
    ]:
        with StepCounter() as counter:
            try:
                function()
            except RuntimeError:
                assert expected is None
                continue
        assert counter.total.bytes == expected


def test_gradients_and_weights_of_a_fused_optimiser_are_read_and_written():
    weight = nn.Parameter(torch.randn(10))
    weight.grad = torch.randn(10)
    optimiser = torch.optim.AdamW([weight], fused=True)
    optimiser.step()
    with StepCounter() as counter:
        optimiser.step()
    # Weight and two moments are read and written; the gradient is read, and counted as written
    # because the kernel may (when it unscales). The step's counter is a few bytes more.
    assert 7 * 40 <= counter.total.bytes <= 8 * 40 + 32


@pytest.fixture
def localmim():
    init_default_scope("mmpretrain")
    torch.manual_seed(0)
    return MODELS.build(tiny.localmim()).train()


def test_each_part_has_its_forward_and_backward(localmim):
    images, parts = torch.randn(2, 3, 64, 64), Parts(localmim)
    with parts.watched(), StepCounter(parts) as counter:
        sum(localmim.loss(images).values()).backward()
    flops = {key: cost.flops for key, cost in counter.costs.items() if cost.flops}
    assert set(flops) == {
        ("backbone", "forward"),
        ("backbone", "backward"),
        ("neck", "forward"),
        ("neck", "backward"),
    }
    assert counter.costs["target_generator", "forward"].bytes > 0
    for part in ("backbone", "neck"):
        assert 1.5 < flops[part, "backward"] / flops[part, "forward"] < 2.6
    assert counter.costs["head", "backward"].bytes > 0
    assert "forward" not in vars(localmim.backbone) and "loss" not in vars(localmim.head)


def test_following_the_graph_sees_the_same_parts(localmim):
    seen = []
    parts = Parts(localmim, on_change=lambda: seen.append(parts.running))
    with parts.watched():
        loss = sum(localmim.loss(torch.randn(2, 3, 64, 64)).values())
        parts.follow_backward(loss)
        loss.backward()
    seen.append(parts.running)
    assert {part for part, way in seen if way == "backward"} >= {"head", "neck", "backbone"}
    assert {part for part, way in seen if way == "forward"} >= {"target_generator", "backbone"}


def test_counting_changes_no_result(localmim):
    images, results = torch.randn(2, 3, 64, 64), []
    for counted in (False, True):
        torch.manual_seed(1)
        localmim.zero_grad()
        parts = Parts(localmim)
        with parts.watched(), StepCounter(parts) if counted else torch.enable_grad():
            loss = sum(localmim.loss(images).values())
            loss.backward()
        gradients = [p.grad.clone() for p in localmim.parameters() if p.grad is not None]
        results.append((loss.detach(), *gradients, torch.rand(1)))
    assert all(map(torch.equal, *results))


def test_what_no_part_does_is_the_rest():
    with StepCounter() as counter:
        F.linear(torch.randn(2, 3), torch.randn(4, 3))
    assert counter.costs[REST, "forward"].flops == 2 * 2 * 3 * 4


def test_the_ceiling_is_positive_and_draws_nothing():
    state = torch.get_rng_state()
    assert matrix_ceiling("cpu", torch.float32, repeats=1) > 1e8
    assert torch.equal(state, torch.get_rng_state())
