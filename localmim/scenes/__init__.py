"""Procedural scenes: labelled pictures that any machine can draw.

Nothing here imports torch, so that processes which draw start at once.
"""

from .rendering import MIN_SIDE, SPLITS, Scene, SceneSet, render_scene, scene_rng
from .shapes import KINDS, MAX_OBJECTS
from .writers import LAYOUTS, provide_scenes, scene_record, write_scenes

__all__ = [
    "KINDS",
    "LAYOUTS",
    "MAX_OBJECTS",
    "MIN_SIDE",
    "SPLITS",
    "Scene",
    "SceneSet",
    "provide_scenes",
    "render_scene",
    "scene_record",
    "scene_rng",
    "write_scenes",
]
