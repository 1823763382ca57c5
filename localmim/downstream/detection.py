"""What detection configs need beside mmdet's own parts; importing it registers them with mmdet."""

from .operators import provide_operators
from .requirements import demand

provide_operators()
demand("mmdet")

from .layer_decay import BackboneLayerDecay  # noqa: E402
from .simple_feature_pyramid import SimpleFeaturePyramid  # noqa: E402
from .window_vit import WindowViT  # noqa: E402

__all__ = ["BackboneLayerDecay", "SimpleFeaturePyramid", "WindowViT"]
