# Fine-tuning of Swin-T on your own images, in ROOT/train/CLASS/ and ROOT/val/CLASS/:
#   python tools/train.py THIS_FILE --cfg-options \
#       model.backbone.init_cfg.checkpoint=PRETRAINED.pth \
#       train_dataloader.dataset.data_root=ROOT val_dataloader.dataset.data_root=ROOT \
#       model.head.num_classes=CLASSES data_preprocessor.num_classes=CLASSES
# From scratch: model.backbone.init_cfg=None. Another length: train_cfg.max_epochs=50.
_base_ = "vit-small-p16_1xb64-amp-coslr-100e_folder.py"

# All norms as in pre-training here; the plain Swin's eps is 1e-5.
norm_cfg = dict(type="LN", eps=1e-6)
model = dict(
    backbone=dict(
        _delete_=True,
        type="SwinTransformer",
        arch="tiny",
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
    head=dict(in_channels=768, init_cfg=dict(std=0.02)),
)

optim_wrapper = dict(clip_grad=dict(max_norm=5.0), paramwise_cfg=dict(layer_decay_rate=0.9))
