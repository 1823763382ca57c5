# Fine-tuning of ViT-B from A2MIM, 800 epochs, as SimMIM's (the release of Li et al., ICML 2023):
#   tools/dist_train.sh THIS_FILE 8 --cfg-options model.backbone.init_cfg.checkpoint=PRETRAINED.pth
_base_ = [
    "../_base_/datasets/imagenet_bs128_finetune.py",
    "../_base_/schedules/adamw_coslr_finetune.py",
    "../_base_/default_runtime.py",
]

model = dict(
    type="ImageClassifier",
    # Absolute and relative positions and layer scale. The mean of the patches, without the class
    # token; the norm follows the pooling.
    backbone=dict(
        type="BEiTViT",
        arch="base",
        img_size=224,
        patch_size=16,
        use_abs_pos_emb=True,
        layer_scale_init_value=0.1,
        drop_path_rate=0.1,
        # Once per branch: mmpretrain drops the MLP's twice.
        layer_cfgs=dict(ffn_cfg=dict(add_identity=False, dropout_layer=None)),
        out_type="avg_featmap",
        final_norm=False,
        init_cfg=dict(type="Pretrained", checkpoint="", prefix="backbone."),
    ),
    head=dict(
        type="LinearClsHead",
        num_classes=1000,
        in_channels=768,
        loss=dict(type="LabelSmoothLoss", label_smooth_val=0.1, mode="original"),
        init_cfg=dict(type="Normal", layer="Linear", std=0.01),
    ),
    train_cfg=dict(augments=[dict(type="Mixup", alpha=0.8), dict(type="CutMix", alpha=1.0)]),
)

# The release's rate, 2.5e-3 * 1024 / 256. SimMIM's own, for the same batch, is 2.5e-3.
optim_wrapper = dict(optimizer=dict(lr=1e-2), clip_grad=dict(max_norm=5.0))
param_scheduler = _base_.param_scheduler
param_scheduler[1].eta_min_ratio = 1e-6 / 1e-2

# A moving average of the weights, 0.99996 of it kept in each step, is validated and deployed.
custom_hooks = [*_base_.custom_hooks, dict(type="EMAHook", momentum=4e-5)]
