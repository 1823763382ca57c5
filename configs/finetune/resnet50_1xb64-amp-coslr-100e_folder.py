# Fine-tuning of ResNet-50 on your own images, in ROOT/train/CLASS/ and ROOT/val/CLASS/:
#   python tools/train.py THIS_FILE --cfg-options \
#       model.backbone.init_cfg.checkpoint=PRETRAINED.pth \
#       train_dataloader.dataset.data_root=ROOT val_dataloader.dataset.data_root=ROOT \
#       model.head.num_classes=CLASSES data_preprocessor.num_classes=CLASSES
# From scratch: model.backbone.init_cfg=None. Another length: train_cfg.max_epochs=50.
_base_ = "vit-small-p16_1xb64-amp-coslr-100e_folder.py"

model = dict(
    backbone=dict(
        _delete_=True,
        type="ResNet",
        depth=50,
        norm_cfg=dict(type="SyncBN"),  # becomes BN on one process or without a GPU
        init_cfg=dict(type="Pretrained", checkpoint="", prefix="backbone."),
    ),
    neck=dict(type="GlobalAveragePooling"),
    head=dict(in_channels=2048, init_cfg=dict(std=0.01)),
)

optim_wrapper = dict(paramwise_cfg=dict(layer_decay_rate=0.9))
