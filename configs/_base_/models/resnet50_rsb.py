# ResNet-50 with binary cross-entropy, and Mixup or CutMix for every batch (Wightman et al. 2021).
# Usually modified: depth, drop_path_rate, num_classes.
model = dict(
    type="ImageClassifier",
    backbone=dict(
        type="ResNet",
        depth=50,
        norm_cfg=dict(type="SyncBN"),  # becomes BN on one process or without a GPU
        init_cfg=dict(type="Pretrained", checkpoint="", prefix="backbone."),
    ),
    neck=dict(type="GlobalAveragePooling"),
    head=dict(
        type="LinearClsHead",
        num_classes=1000,
        in_channels=2048,
        loss=dict(type="CrossEntropyLoss", use_sigmoid=True),
    ),
    train_cfg=dict(augments=[dict(type="Mixup", alpha=0.1), dict(type="CutMix", alpha=1.0)]),
)
