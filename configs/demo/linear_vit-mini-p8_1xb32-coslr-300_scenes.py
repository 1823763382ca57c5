# Linear probing of the small ViT on procedural scenes: the mean of the patches.
_base_ = "vit-mini-p8_1xb32-coslr-300_scenes.py"

model = dict(
    type="LinearProbe",
    backbone=dict(drop_path_rate=0.0),
    neck=dict(type="ClsBatchNormNeck", input_features=128),
    head=dict(loss=dict(_delete_=True, type="CrossEntropyLoss")),
)

optim_wrapper = dict(
    optimizer=dict(lr=3e-3),
    constructor="DefaultOptimWrapperConstructor",
    paramwise_cfg=dict(_delete_=True),
)
