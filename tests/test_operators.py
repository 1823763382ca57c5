import subprocess
import sys
from math import ceil

import pytest
import torch
from mmcv.ops import RoIAlign, nms
from mmengine.model import revert_sync_batchnorm
from torch.autograd import gradcheck

from localmim.operators import StandIn, provide_operators


def slow_nms(boxes, scores, threshold, offset):
    """Indices that stay, best first: nothing stays that overlaps a better one by more."""
    sizes = (boxes[:, 2:] - boxes[:, :2] + offset).tolist()
    kept = []
    for i in scores.argsort(descending=True).tolist():
        for j in kept:
            low = torch.maximum(boxes[i, :2], boxes[j, :2])
            width, height = (torch.minimum(boxes[i, 2:], boxes[j, 2:]) - low + offset).tolist()
            both = max(width, 0) * max(height, 0)
            if both > threshold * (sizes[i][0] * sizes[i][1] + sizes[j][0] * sizes[j][1] - both):
                break
        else:
            kept.append(i)
    return kept


def value(plane, y, x):
    """The (H, W) plane at a point, bilinear; outside it its border for one pixel, then zero."""
    height, width = plane.shape
    if not (-1 <= y <= height and -1 <= x <= width):
        return plane.sum() * 0
    y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
    top, left = int(y), int(x)
    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
    upper = plane[top, left] * (left + 1 - x) + plane[top, right] * (x - left)
    lower = plane[bottom, left] * (left + 1 - x) + plane[bottom, right] * (x - left)
    return upper * (top + 1 - y) + lower * (y - top)


def slow_roi_align(images, rois, size, scale, ratio, aligned):
    """Means over a grid of points in each bin, (N, C, *size)."""
    out = []
    for number, *corners in rois.tolist():
        left, top, right, bottom = (x * scale - 0.5 * aligned for x in corners)
        height, width = bottom - top, right - left
        if not aligned:
            height, width = max(height, 1), max(width, 1)
        bins = height / size[0], width / size[1]
        points = (ratio, ratio) if ratio else (ceil(bins[0]), ceil(bins[1]))
        for plane in images[int(number)]:
            for row in range(size[0]):
                for col in range(size[1]):
                    ys = [top + bins[0] * (row + (i + 0.5) / points[0]) for i in range(points[0])]
                    xs = [left + bins[1] * (col + (i + 0.5) / points[1]) for i in range(points[1])]
                    out.append(torch.stack([value(plane, y, x) for y in ys for x in xs]).mean())
    return torch.stack(out).view(len(rois), images.shape[1], *size)


def random_rois():
    """Regions of interest in images of 40x56 pixels, some over their borders, some tiny."""
    rois = torch.tensor(
        [
            [0, 3.1, 4.7, 30.2, 25.9],
            [1, -9.0, -6.5, 12.3, 14.0],
            [1, 40.3, 22.2, 70.9, 48.4],
            [0, 10.2, 11.3, 10.9, 12.1],
        ]
    )
    return rois.double()


@pytest.mark.parametrize("offset", [0, 1])
@pytest.mark.parametrize("threshold", [0.3, 0.7])
def test_nms_is_greedy_suppression(threshold, offset):
    corners = torch.rand(60, 2) * 15
    boxes = torch.cat([corners, corners + 20 + torch.rand(60, 2) * 15], 1)
    scores = torch.rand(60)
    expected = slow_nms(boxes.double(), scores, threshold, offset)
    kept, indices = nms(boxes, scores, threshold, offset=offset)
    assert indices.tolist() == expected and 1 < len(expected) < 60
    assert kept.equal(torch.cat([boxes, scores[:, None]], 1)[expected])


def test_nms_of_nothing_is_nothing():
    assert nms(torch.zeros(0, 4), torch.zeros(0), 0.5)[1].shape == (0,)


def test_nms_keeps_torchs_order_among_equal_scores():
    corners = 10.0 * torch.arange(600)[:, None].expand(-1, 2)
    scores = torch.full((600,), 0.5)
    scores[::7] = 0.9
    expected = scores.sort(descending=True).indices
    assert nms(torch.cat([corners, corners + 5], 1), scores, 0.5)[1].equal(expected)


def test_nms_offset_makes_boxes_overlap_that_touch():
    boxes = torch.tensor([[0.0, 0, 1, 1], [1, 0, 2, 1]])  # of 2x2 pixels, one column shared
    scores = torch.tensor([0.9, 0.8])
    assert nms(boxes, scores, 0.3, offset=0)[1].tolist() == [0, 1]
    assert nms(boxes, scores, 0.3, offset=1)[1].tolist() == [0]


@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("ratio", [0, 2])
def test_roi_align_is_the_mean_of_bilinear_points(ratio, aligned):
    images, rois = torch.randn(2, 3, 10, 14).double().requires_grad_(), random_rois()
    layer = RoIAlign((2, 3), spatial_scale=0.25, sampling_ratio=ratio, aligned=aligned)
    ours = layer(images, rois)
    expected = slow_roi_align(images, rois, (2, 3), 0.25, ratio, aligned)
    torch.testing.assert_close(ours, expected, rtol=1e-10, atol=1e-10)
    weights = torch.randn_like(ours)
    (gradient,) = torch.autograd.grad((ours * weights).sum(), images)
    (slow_gradient,) = torch.autograd.grad((expected * weights).sum(), images)
    torch.testing.assert_close(gradient, slow_gradient, rtol=1e-10, atol=1e-10)
    assert gradient.any()


def test_roi_align_passes_gradcheck():
    images = torch.randn(2, 1, 5, 6).double().requires_grad_()
    layer = RoIAlign((2, 2), spatial_scale=0.125)
    # mmcv's function adds to a gradient of zeros in place, in whichever order.
    assert gradcheck(lambda x: layer(x, random_rois()), images, nondet_tol=1e-12)


@pytest.mark.parametrize(
    "call",
    [
        lambda module: module.modulated_deform_conv_forward(1, out=2),
        lambda module: module.roi_align_forward(*[None] * 9, pool_mode=0, aligned=True),
        lambda module: module.roi_align_backward(*[None] * 9, pool_mode=0, aligned=True),
    ],
)
def test_what_torchvision_lacks_is_named_and_how_to_get_it(call):
    with pytest.raises(NotImplementedError) as error:
        call(StandIn("mmcv._ext"))
    message = str(error.value)
    assert "modulated_deform_conv_forward" in message or "pool_mode='max'" in message
    assert "MMCV_WITH_OPS=1 pip install" in message


def test_mmengine_finds_the_module():
    model = revert_sync_batchnorm(torch.nn.Sequential(torch.nn.SyncBatchNorm(4)))
    assert not isinstance(model[0], torch.nn.SyncBatchNorm)


def test_python_finds_no_attributes_of_modules_that_are_not_there():
    assert not hasattr(StandIn("mmcv._ext"), "__file__")


COMPILED = """
import sys, mmcv
from localmim.operators import StandIn, provide_operators
sys.modules.pop("mmcv._ext", None)
mmcv.__path__.insert(0, {folder!r})
provide_operators()
import mmcv._ext
print(mmcv._ext.__file__)
"""


def test_compiled_operators_are_left_alone(tmp_path):
    (tmp_path / "_ext.py").write_text("")
    script = COMPILED.format(folder=str(tmp_path))
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1] == str(tmp_path / "_ext.py")


def test_they_are_provided_once():
    provide_operators()
    before = sys.modules["mmcv._ext"]
    provide_operators()
    assert sys.modules["mmcv._ext"] is before
