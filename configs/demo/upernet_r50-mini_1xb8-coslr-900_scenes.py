# UPerNet on a ResNet-50 of a quarter of the width, procedural scenes, tested on whole images.
_base_ = [
    "../_base_/models/upernet.py",
    "../_base_/datasets/scenes_ade20k_bs8.py",
    "../_base_/schedules/adamw_coslr_scenes.py",
    "../_base_/segmentation_runtime.py",
]

model = dict(
    data_preprocessor=_base_.data_preprocessor,
    backbone=dict(
        type="ResNet",
        depth=50,
        stem_channels=16,
        base_channels=16,
        norm_cfg=_base_.norm_cfg,
        init_cfg=dict(type="Pretrained", checkpoint="", prefix="backbone."),
    ),
    decode_head=dict(
        in_channels=[64, 128, 256, 512], channels=32, num_classes=11, loss_decode=_base_.loss
    ),
    auxiliary_head=dict(in_channels=256, channels=32, num_classes=11, loss_decode=_base_.loss),
)

optim_wrapper = dict(optimizer=dict(lr=2e-3))
train_cfg = dict(max_iters=900, val_interval=900)
