# Linear probing of ViT-B from LocalMIM, 1600 epochs: the class token, MAE's recipe.
#   tools/dist_train.sh THIS_FILE 8 --cfg-options model.backbone.init_cfg.checkpoint=PRETRAINED.pth
_base_ = [
    "../_base_/datasets/imagenet_bs2048_linear.py",
    "../_base_/schedules/lars_coslr_linear.py",
    "../_base_/default_runtime.py",
]

model = dict(
    type="LinearProbe",
    backbone=dict(
        type="VisionTransformer",
        arch="base",
        img_size=224,
        patch_size=16,
        out_type="cls_token",
        init_cfg=dict(type="Pretrained", checkpoint="", prefix="backbone."),
    ),
    neck=dict(type="ClsBatchNormNeck", input_features=768),  # without affine parameters
    head=dict(
        type="LinearClsHead",
        num_classes=1000,
        in_channels=768,
        loss=dict(type="CrossEntropyLoss"),
        init_cfg=dict(type="TruncNormal", layer="Linear", std=0.01),
    ),
)
