import numpy as np
import pytest

from localmim.downstream.segmentation import CheckSegMap


def results(labels):
    return dict(
        gt_seg_map=labels, ori_shape=(6, 8), seg_map_path="maps/1.png", img_path="images/1.jpg"
    )


def test_a_map_of_its_images_size_passes_unchanged():
    given = results(np.zeros((6, 8), np.uint8))
    assert CheckSegMap()(given) is given


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((8, 6), "maps/1.png is of 8x6 pixels, its image images/1.jpg of 6x8"),
        ((12, 16), "12x16"),
        ((6, 8, 3), "picture of 3 channels"),
    ],
)
def test_another_size_and_pictures_are_refused(shape, message):
    with pytest.raises(ValueError, match=message):
        CheckSegMap()(results(np.zeros(shape, np.uint8)))
