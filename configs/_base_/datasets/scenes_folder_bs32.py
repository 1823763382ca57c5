# Procedural scenes as classes by folder, 64x64, 32 images per GPU. Made by
#   python tools/make_scenes.py folder data/scenes/folder --train 3000 --val 600 --size 128 128 \
#       --max-objects 1
data_preprocessor = dict(
    num_classes=10, mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True
)

train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="RandomResizedCrop", scale=64, crop_ratio_range=(0.8, 1.0), interpolation="bicubic"),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PackInputs"),
]
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=64, interpolation="bicubic"),
    dict(type="PackInputs"),
]

train_dataloader = dict(
    batch_size=32,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type="InfiniteSampler", shuffle=True),
    collate_fn=dict(type="default_collate"),
    dataset=dict(
        type="CustomDataset", data_root="data/scenes/folder/train", pipeline=train_pipeline
    ),
)
val_dataloader = dict(
    batch_size=100,
    num_workers=1,
    sampler=dict(type="DefaultSampler", shuffle=False),
    collate_fn=dict(type="default_collate"),
    dataset=dict(type="CustomDataset", data_root="data/scenes/folder/val", pipeline=test_pipeline),
)
test_dataloader = val_dataloader
val_evaluator = [
    dict(type="Accuracy", topk=1),
    dict(type="BalancedAccuracy"),
    dict(type="AUC"),
]
test_evaluator = val_evaluator
