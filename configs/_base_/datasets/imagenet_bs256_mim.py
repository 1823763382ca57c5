# ImageNet-1K for masked-image pre-training; 256 images per GPU.
# Usually modified: data_root, batch_size, num_workers, the crop's scale.
data_preprocessor = dict(
    type="MIMDataPreprocessor",
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    to_rgb=True,
)

train_pipeline = [
    dict(
        type="LoadRandomResizedCrop",
        scale=224,
        crop_ratio_range=(0.2, 1.0),
        interpolation="bicubic",
    ),
    dict(type="PackImage", flip_prob=0.5),
]

train_dataloader = dict(
    batch_size=256,
    num_workers=8,
    persistent_workers=True,
    pin_memory=True,
    drop_last=True,
    sampler=dict(type="DefaultSampler", shuffle=True),
    collate_fn=dict(type="default_collate"),
    dataset=dict(
        type="ImageNet",
        data_root="data/imagenet/",
        split="train",
        pipeline=train_pipeline,
    ),
)
