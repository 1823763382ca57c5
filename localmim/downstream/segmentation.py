"""What segmentation configs need beside mmseg's own parts."""

from mmcv.transforms import BaseTransform

from .requirements import demand

demand("mmseg")

from mmseg.registry import TRANSFORMS  # noqa: E402


@TRANSFORMS.register_module()
class CheckSegMap(BaseTransform):
    """Refuse a segmentation map that is not of its image's size, or is no map of labels.

    mmseg resizes image and map each by its own size, so that a map of another size would train
    the model on shifted labels. To be placed after LoadAnnotations.

    Raises:
        ValueError: the message names the map, the image and both sizes.
    """

    def transform(self, results: dict) -> dict:
        """Give back what it got."""
        labels, image_size = results["gt_seg_map"], tuple(results["ori_shape"][:2])
        if labels.ndim != 2:
            raise ValueError(
                f"{results['seg_map_path']} is a picture of {labels.shape[-1]} channels; a "
                "segmentation map has one, with the number of the class in each pixel"
            )
        if labels.shape != image_size:
            raise ValueError(
                f"{results['seg_map_path']} is of {labels.shape[0]}x{labels.shape[1]} pixels, its "
                f"image {results['img_path']} of {image_size[0]}x{image_size[1]}; they have to "
                "be of one size"
            )
        return results
