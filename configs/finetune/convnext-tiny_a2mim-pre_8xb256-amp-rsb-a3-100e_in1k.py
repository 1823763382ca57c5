# Fine-tuning of ConvNeXt-T from A2MIM by RSB A3 (the release of Li et al., ICML 2023):
#   tools/dist_train.sh THIS_FILE 8 --cfg-options model.backbone.init_cfg.checkpoint=PRETRAINED.pth
_base_ = [
    "../_base_/datasets/imagenet_bs256_rsb_a3.py",
    "../_base_/schedules/lamb_coslr_rsb.py",
    "../_base_/default_runtime.py",
]

model = dict(
    type="ImageClassifier",
    # The norm follows the pooling.
    backbone=dict(
        type="ConvNeXt",
        arch="tiny",
        drop_path_rate=0.1,  # as in the release; RSB A3 has none
        init_cfg=dict(type="Pretrained", checkpoint="", prefix="backbone."),
    ),
    head=dict(
        type="LinearClsHead",
        num_classes=1000,
        in_channels=768,
        loss=dict(type="CrossEntropyLoss", use_sigmoid=True),
        init_cfg=dict(type="TruncNormal", layer="Linear", std=0.02),
    ),
    train_cfg=dict(augments=[dict(type="Mixup", alpha=0.1), dict(type="CutMix", alpha=1.0)]),
)

# The cosine falls in every iteration.
param_scheduler = _base_.param_scheduler
param_scheduler[1].convert_to_iter_based = True
