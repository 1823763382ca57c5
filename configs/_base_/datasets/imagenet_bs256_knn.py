# ImageNet-1K's validation images for k nearest neighbours; 256 images per GPU. The bank of a
# config has the same settings with the training images.
data_preprocessor = dict(
    type="ClsDataPreprocessor",
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    to_rgb=True,
)

test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="ResizeEdge", scale=256, edge="short", backend="pillow", interpolation="bicubic"),
    dict(type="CenterCrop", crop_size=224),
    dict(type="PackInputs"),
]

test_dataloader = dict(
    batch_size=256,
    num_workers=8,
    persistent_workers=True,
    pin_memory=True,
    drop_last=False,
    sampler=dict(type="DefaultSampler", shuffle=False),
    collate_fn=dict(type="default_collate"),
    dataset=dict(
        type="ImageNet",
        data_root="data/imagenet/",
        split="val",
        pipeline=test_pipeline,
    ),
)
test_evaluator = dict(type="Accuracy", topk=(1, 5))
test_cfg = dict()
