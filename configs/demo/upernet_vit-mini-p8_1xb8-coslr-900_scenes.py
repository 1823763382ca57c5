# UPerNet on the small ViT, procedural scenes. First
#   python tools/convert.py PRETRAINED.pth backbone.pth --to mmseg-mae
# then
#   python tools/train.py THIS_FILE --cfg-options model.backbone.init_cfg.checkpoint=backbone.pth
_base_ = [
    "../_base_/models/upernet.py",
    "../_base_/datasets/scenes_ade20k_bs8.py",
    "../_base_/schedules/adamw_coslr_scenes.py",
    "../_base_/segmentation_runtime.py",
]

model = dict(
    data_preprocessor=_base_.data_preprocessor | dict(test_cfg=dict(size=_base_.crop_size)),
    backbone=dict(
        type="MAE",
        img_size=_base_.crop_size,
        patch_size=8,
        embed_dims=128,
        num_layers=8,
        num_heads=4,
        mlp_ratio=4,
        init_values=1.0,
        drop_path_rate=0.05,
        norm_cfg=dict(type="LN", eps=1e-6),
        out_indices=[1, 3, 5, 7],
        init_cfg=dict(type="Pretrained", checkpoint=""),
    ),
    neck=dict(type="Feature2Pyramid", embed_dim=128, rescales=[2, 1, 0.5, 0.25]),
    decode_head=dict(
        in_channels=[128, 128, 128, 128], channels=32, num_classes=11, loss_decode=_base_.loss
    ),
    auxiliary_head=dict(in_channels=128, channels=32, num_classes=11, loss_decode=_base_.loss),
    test_cfg=dict(mode="slide", crop_size=_base_.crop_size, stride=(43, 43)),
)

optim_wrapper = dict(
    optimizer=dict(lr=2e-3),
    constructor="LearningRateDecayOptimizerConstructor",
    paramwise_cfg=dict(num_layers=8, decay_rate=0.9, decay_type="layer_wise"),
)
train_cfg = dict(max_iters=900, val_interval=900)
