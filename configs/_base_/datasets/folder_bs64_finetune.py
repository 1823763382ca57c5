# Your own images for fine-tuning; 64 per GPU. One folder per class:
#   ROOT/train/CLASS/*.jpg and ROOT/val/CLASS/*.jpg, with the same classes in both.
# Usually modified: data_root (train_dataloader and val_dataloader; test_dataloader for
# tools/test.py), data_preprocessor.num_classes, batch_size, num_workers.
data_preprocessor = dict(
    type="ClsDataPreprocessor",
    num_classes=1000,
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    to_rgb=True,
)

train_pipeline = [
    dict(type="LoadImageFromFile", imdecode_backend="pillow"),
    dict(type="RandomResizedCrop", scale=224, backend="pillow", interpolation="bicubic"),
    dict(type="RandomFlip", prob=0.5),
    dict(
        type="RandAugment",
        policies="timm_increasing",
        num_policies=2,
        total_level=10,
        magnitude_level=9,
        magnitude_std=0.5,
        hparams=dict(pad_val=[104, 116, 124], interpolation="bicubic"),
    ),
    # Images are BGR here.
    dict(
        type="RandomErasing",
        erase_prob=0.25,
        mode="rand",
        min_area_ratio=0.02,
        max_area_ratio=1 / 3,
        fill_color=[103.53, 116.28, 123.675],
        fill_std=[57.375, 57.12, 58.395],
    ),
    dict(type="PackInputs"),
]

test_pipeline = [
    dict(type="LoadImageFromFile", imdecode_backend="pillow"),
    dict(type="ResizeEdge", scale=256, edge="short", backend="pillow", interpolation="bicubic"),
    dict(type="CenterCrop", crop_size=224),
    dict(type="PackInputs"),
]

train_dataloader = dict(
    batch_size=64,
    num_workers=4,
    persistent_workers=True,
    pin_memory=True,
    drop_last=False,
    sampler=dict(type="DefaultSampler", shuffle=True),
    collate_fn=dict(type="default_collate"),
    dataset=dict(
        type="CustomDataset",
        data_root="data/my_images",
        data_prefix="train",
        pipeline=train_pipeline,
    ),
)

val_dataloader = dict(
    batch_size=64,
    num_workers=4,
    persistent_workers=True,
    pin_memory=True,
    drop_last=False,
    sampler=dict(type="DefaultSampler", shuffle=False),
    collate_fn=dict(type="default_collate"),
    dataset=dict(
        type="CustomDataset",
        data_root="data/my_images",
        data_prefix="val",
        pipeline=test_pipeline,
    ),
)
# Top 1 only: there may be fewer than five classes.
# The latter two are for classes of which some have many more images than others.
val_evaluator = [
    dict(type="Accuracy", topk=(1,)),
    dict(type="BalancedAccuracy"),
    dict(type="AUC"),
]

test_dataloader = val_dataloader
test_evaluator = val_evaluator
