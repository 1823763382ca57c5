# Fine-tuning of ViT-B from LocalMIM, 1600 epochs (Wang et al., CVPR 2023, appendix):
#   tools/dist_train.sh THIS_FILE 8 --cfg-options model.backbone.init_cfg.checkpoint=PRETRAINED.pth
_base_ = [
    "../_base_/datasets/imagenet_bs128_finetune.py",
    "../_base_/schedules/adamw_coslr_finetune.py",
    "../_base_/default_runtime.py",
]

model = dict(
    type="ImageClassifier",
    # The mean of the patches, without the class token; the norm follows the pooling.
    backbone=dict(
        type="VisionTransformer",
        arch="base",
        img_size=224,
        patch_size=16,
        drop_path_rate=0.1,
        out_type="avg_featmap",
        final_norm=False,
        init_cfg=dict(type="Pretrained", checkpoint="", prefix="backbone."),
    ),
    head=dict(
        type="LinearClsHead",
        num_classes=1000,
        in_channels=768,
        loss=dict(type="LabelSmoothLoss", label_smooth_val=0.1, mode="original"),
        init_cfg=dict(type="TruncNormal", layer="Linear", std=2e-5),
    ),
    train_cfg=dict(augments=[dict(type="Mixup", alpha=0.8), dict(type="CutMix", alpha=1.0)]),
)
