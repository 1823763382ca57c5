# A small LocalMIM on a ConvNeXt, procedural scenes of 128x128 pixels.
_base_ = "localmim_r50-mini_1xb32-coslr-1k_scenes.py"

model = dict(
    backbone=dict(
        _delete_=True,
        type="PackedConvNeXt",
        arch=dict(depths=[2, 2, 6, 2], channels=[32, 64, 128, 256]),
    ),
)
