# Fine-tuning of the small Swin on procedural scenes of 128x128 pixels.
_base_ = "vit-mini-p8_1xb32-coslr-300_scenes.py"

model = dict(
    backbone=dict(
        _delete_=True,
        type="SwinTransformer",
        arch=dict(embed_dims=48, depths=[2, 2, 4, 2], num_heads=[2, 4, 8, 16]),
        img_size=128,
        window_size=4,
        drop_path_rate=0.05,
        init_cfg=dict(type="Pretrained", checkpoint="", prefix="backbone."),
    ),
    neck=dict(type="GlobalAveragePooling"),
    head=dict(in_channels=384),
)

train_pipeline = _base_.train_pipeline
train_pipeline[1].scale = 128
test_pipeline = _base_.test_pipeline
test_pipeline[1].scale = 128
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
