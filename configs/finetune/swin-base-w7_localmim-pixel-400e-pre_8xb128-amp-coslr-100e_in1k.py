# Fine-tuning of Swin-B from LocalMIM on pixels, 400 epochs (Wang et al., CVPR 2023, appendix):
#   tools/dist_train.sh THIS_FILE 8 --cfg-options model.backbone.init_cfg.checkpoint=PRETRAINED.pth
_base_ = [
    "../_base_/datasets/imagenet_bs128_finetune.py",
    "../_base_/schedules/adamw_coslr_finetune.py",
    "../_base_/default_runtime.py",
]

# All norms as in pre-training here; the plain Swin's eps is 1e-5.
norm_cfg = dict(type="LN", eps=1e-6)
model = dict(
    type="ImageClassifier",
    backbone=dict(
        type="SwinTransformer",
        arch="base",
        img_size=224,
        drop_path_rate=0.1,
        norm_cfg=norm_cfg,
        patch_cfg=dict(norm_cfg=norm_cfg),
        stage_cfgs=dict(
            window_size=7,
            block_cfgs=dict(norm_cfg=norm_cfg),
            downsample_cfg=dict(norm_cfg=norm_cfg),
        ),
        init_cfg=dict(type="Pretrained", checkpoint="", prefix="backbone."),
    ),
    neck=dict(type="GlobalAveragePooling"),
    head=dict(
        type="LinearClsHead",
        num_classes=1000,
        in_channels=1024,
        loss=dict(type="LabelSmoothLoss", label_smooth_val=0.1, mode="original"),
        init_cfg=dict(type="TruncNormal", layer="Linear", std=2e-5),
    ),
    train_cfg=dict(augments=[dict(type="Mixup", alpha=0.8), dict(type="CutMix", alpha=1.0)]),
)

optim_wrapper = dict(
    optimizer=dict(lr=4e-3),
    # The bias tables decay.
    paramwise_cfg=dict(
        layer_decay_rate=0.9, custom_keys={".relative_position_bias_table": dict(decay_mult=1.0)}
    ),
)
param_scheduler = _base_.param_scheduler
param_scheduler[1].eta_min_ratio = 2.5e-7 / 4e-3
