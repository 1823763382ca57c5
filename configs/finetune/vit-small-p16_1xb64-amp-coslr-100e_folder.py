# Fine-tuning of ViT-S on your own images, in ROOT/train/CLASS/ and ROOT/val/CLASS/:
#   python tools/train.py THIS_FILE --cfg-options \
#       model.backbone.init_cfg.checkpoint=PRETRAINED.pth \
#       train_dataloader.dataset.data_root=ROOT val_dataloader.dataset.data_root=ROOT \
#       model.head.num_classes=CLASSES data_preprocessor.num_classes=CLASSES
# From scratch: model.backbone.init_cfg=None. Another length: train_cfg.max_epochs=50.
# Other backbones: model.backbone.arch=base model.head.in_channels=768.
_base_ = [
    "../_base_/datasets/folder_bs64_finetune.py",
    "../_base_/schedules/adamw_coslr_finetune.py",
    "../_base_/default_runtime.py",
]

model = dict(
    type="ImageClassifier",
    # mmpretrain's "small" is 768 wide; "deit-small" is the usual ViT-S.
    backbone=dict(
        type="VisionTransformer",
        arch="deit-small",
        img_size=224,
        patch_size=16,
        drop_path_rate=0.1,
        out_type="avg_featmap",
        final_norm=False,  # the norm follows the pooling
        init_cfg=dict(type="Pretrained", checkpoint="", prefix="backbone."),
    ),
    head=dict(
        type="LinearClsHead",
        num_classes=1000,
        in_channels=384,
        loss=dict(type="LabelSmoothLoss", label_smooth_val=0.1, mode="original"),
        init_cfg=dict(type="TruncNormal", layer="Linear", std=2e-5),
    ),
    train_cfg=dict(augments=[dict(type="Mixup", alpha=0.8), dict(type="CutMix", alpha=1.0)]),
)

optim_wrapper = dict(optimizer=dict(lr=5e-4), paramwise_cfg=dict(layer_decay_rate=0.75))
auto_scale_lr = dict(base_batch_size=256)
param_scheduler = _base_.param_scheduler
param_scheduler[0].end = param_scheduler[1].begin = 5  # warm-up
