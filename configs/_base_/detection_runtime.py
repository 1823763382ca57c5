# What every detection config shares. Needs mmdet and mmcv's compiled operators (see the README
# there).
_base_ = "default_runtime.py"

default_scope = "mmdet"
custom_imports = dict(imports=["localmim.parts", "localmim.downstream.detection"])

default_hooks = dict(
    logger=dict(interval=50), visualization=dict(type="DetVisualizationHook", draw=False)
)
visualizer = dict(
    _delete_=True,
    type="DetLocalVisualizer",
    vis_backends=[dict(type="LocalVisBackend")],
)
log_processor = dict(type="LogProcessor", window_size=50, by_epoch=True)
