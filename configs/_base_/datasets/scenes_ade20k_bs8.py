# Procedural scenes laid out as ADE20K, crops of 64x64, 8 images per GPU. Made by
#   python tools/make_scenes.py ade20k data/scenes/ade20k --train 3000 --val 600 --size 128 128 \
#       --max-objects 1
crop_size = (64, 64)

data_preprocessor = dict(
    type="SegDataPreProcessor",
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    bgr_to_rgb=True,
    size=crop_size,
    pad_val=0,
    seg_pad_val=255,
)

train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations"),
    dict(type="CheckSegMap"),
    dict(type="RandomResize", scale=crop_size, ratio_range=(1.0, 1.3), keep_ratio=True),
    dict(type="RandomCrop", crop_size=crop_size),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PackSegInputs"),
]
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=crop_size, keep_ratio=True),
    dict(type="LoadAnnotations"),
    dict(type="CheckSegMap"),
    dict(type="PackSegInputs"),
]

metainfo = dict(
    classes=(
        "background",
        "arrow",
        "crescent",
        "cross",
        "disc",
        "heart",
        "hexagon",
        "ring",
        "square",
        "star",
        "triangle",
    ),
    palette=[
        [60, 60, 60],
        [230, 25, 75],
        [60, 180, 75],
        [255, 225, 25],
        [0, 130, 200],
        [245, 130, 48],
        [145, 30, 180],
        [70, 240, 240],
        [240, 50, 230],
        [210, 245, 60],
        [250, 190, 212],
    ],
)
# Nine tenths of the pixels are background.
loss = dict(class_weight=[0.1] + [1.0] * 10)

dataset = dict(
    type="BaseSegDataset",
    metainfo=metainfo,
    data_root="data/scenes/ade20k",
    img_suffix=".jpg",
    seg_map_suffix=".png",
    reduce_zero_label=True,
)

train_dataloader = dict(
    batch_size=8,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type="InfiniteSampler", shuffle=True),
    dataset=dict(
        data_prefix=dict(img_path="images/training", seg_map_path="annotations/training"),
        pipeline=train_pipeline,
        **dataset,
    ),
)
val_dataloader = dict(
    batch_size=16,
    num_workers=1,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        data_prefix=dict(img_path="images/validation", seg_map_path="annotations/validation"),
        pipeline=test_pipeline,
        **dataset,
    ),
)
test_dataloader = val_dataloader

val_evaluator = dict(type="IoUMetric", iou_metrics=["mIoU"])
test_evaluator = val_evaluator
