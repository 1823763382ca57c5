# UPerNet on a ResNet-50, ADE20K, tested on whole images; AdamW as for Swin. First
#   python tools/convert.py PRETRAINED.pth backbone.pth --to mmpretrain
# then
#   tools/dist_train.sh THIS_FILE 8 --cfg-options model.backbone.init_cfg.checkpoint=backbone.pth
_base_ = [
    "../_base_/models/upernet.py",
    "../_base_/datasets/ade20k_bs2_512x512.py",
    "../_base_/schedules/adamw_poly_160k.py",
    "../_base_/segmentation_runtime.py",
]

model = dict(
    data_preprocessor=_base_.data_preprocessor,
    backbone=dict(
        type="ResNet",
        depth=50,
        norm_cfg=_base_.norm_cfg,
        init_cfg=dict(type="Pretrained", checkpoint="", prefix="backbone."),
    ),
    decode_head=dict(in_channels=[256, 512, 1024, 2048]),
    auxiliary_head=dict(in_channels=1024),
)

optim_wrapper = dict(
    optimizer=dict(lr=1e-4, weight_decay=0.05), paramwise_cfg=dict(norm_decay_mult=0.0)
)
