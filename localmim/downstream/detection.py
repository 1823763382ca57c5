"""What detection configs need beside mmdet's own parts; importing it registers them with mmdet."""

from .requirements import demand, demand_operators

demand("mmdet")
demand_operators()

from .layer_decay import BackboneLayerDecay  # noqa: E402
from .simple_feature_pyramid import SimpleFeaturePyramid  # noqa: E402
from .window_vit import WindowViT  # noqa: E402

__all__ = ["BackboneLayerDecay", "SimpleFeaturePyramid", "WindowViT"]
