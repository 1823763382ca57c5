# What every segmentation config shares. Needs mmsegmentation (see the README there).
_base_ = "iterations_runtime.py"

default_scope = "mmseg"
custom_imports = dict(imports=["localmim.parts", "localmim.downstream.segmentation"])

default_hooks = dict(visualization=dict(type="SegVisualizationHook"))
visualizer = dict(
    _delete_=True,
    type="SegLocalVisualizer",
    vis_backends=[dict(type="LocalVisBackend")],
)
