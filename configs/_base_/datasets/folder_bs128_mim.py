# Any folder of unlabelled images; 128 images per GPU. Set the folder by
#   --cfg-options train_dataloader.dataset.data_root=FOLDER
# Files that give no image are skipped, counted and listed in unusable_images.tsv of the work dir.
# Usually modified: data_root, batch_size, num_workers, the crop's scale and ratio.
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
    batch_size=128,
    num_workers=8,
    persistent_workers=True,
    pin_memory=True,
    drop_last=False,
    sampler=dict(type="DefaultSampler", shuffle=True),
    collate_fn=dict(type="default_collate"),
    dataset=dict(type="UnlabelledImages", data_root="data/images", pipeline=train_pipeline),
)
