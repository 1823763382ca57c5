# Linear probing of ViT-S on your own images, in ROOT/train/CLASS/ and ROOT/val/CLASS/:
#   python tools/train.py THIS_FILE --cfg-options \
#       model.backbone.init_cfg.checkpoint=PRETRAINED.pth \
#       train_dataloader.dataset.data_root=ROOT val_dataloader.dataset.data_root=ROOT \
#       model.head.num_classes=CLASSES data_preprocessor.num_classes=CLASSES
# AdamW and no batch norm: MAE's recipe is for batches of thousands.
_base_ = [
    "../_base_/datasets/folder_bs64_linear.py",
    "../_base_/schedules/adamw_coslr_finetune.py",
    "../_base_/default_runtime.py",
]

model = dict(
    type="LinearProbe",
    backbone=dict(
        type="VisionTransformer",
        arch="deit-small",
        img_size=224,
        patch_size=16,
        out_type="cls_token",
        init_cfg=dict(type="Pretrained", checkpoint="", prefix="backbone."),
    ),
    head=dict(
        type="LinearClsHead",
        num_classes=1000,
        in_channels=384,
        loss=dict(type="CrossEntropyLoss"),
        init_cfg=dict(type="TruncNormal", layer="Linear", std=0.01),
    ),
)

optim_wrapper = dict(optimizer=dict(lr=4e-3, weight_decay=0.0))
auto_scale_lr = dict(base_batch_size=256)
param_scheduler = _base_.param_scheduler
param_scheduler[0].end = param_scheduler[1].begin = 5  # warm-up
