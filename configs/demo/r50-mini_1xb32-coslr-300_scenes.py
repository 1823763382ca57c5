# Fine-tuning of a ResNet-50 of a quarter of the width on procedural scenes of 128x128 pixels.
_base_ = "swin-mini-w4_1xb32-coslr-300_scenes.py"

model = dict(
    backbone=dict(
        _delete_=True,
        type="ResNet",
        depth=50,
        stem_channels=16,
        base_channels=16,
        init_cfg=dict(type="Pretrained", checkpoint="", prefix="backbone."),
    ),
    head=dict(in_channels=512),
)

optim_wrapper = dict(
    constructor="DefaultOptimWrapperConstructor",
    paramwise_cfg=dict(
        _delete_=True, flat_decay_mult=0.0, norm_decay_mult=0.0, bias_decay_mult=0.0
    ),
)
