# Fine-tuning of a small ConvNeXt on procedural scenes of 128x128 pixels.
_base_ = "r50-mini_1xb32-coslr-300_scenes.py"

model = dict(
    backbone=dict(
        _delete_=True,
        type="ConvNeXt",
        arch=dict(depths=[2, 2, 6, 2], channels=[32, 64, 128, 256]),
        drop_path_rate=0.05,
        init_cfg=dict(type="Pretrained", checkpoint="", prefix="backbone."),
    ),
    neck=None,
    head=dict(in_channels=256),
)
