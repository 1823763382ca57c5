# Your own images for k nearest neighbours; 64 per GPU. One folder per class in ROOT/train, which
# becomes the bank, and in ROOT/val, which is classified.
_base_ = "imagenet_bs256_knn.py"

test_pipeline = [
    dict(type="LoadImageFromFile", imdecode_backend="pillow"),
    dict(type="ResizeEdge", scale=256, edge="short", backend="pillow", interpolation="bicubic"),
    dict(type="CenterCrop", crop_size=224),
    dict(type="PackInputs"),
]
test_dataloader = dict(
    batch_size=64,
    num_workers=4,
    dataset=dict(
        _delete_=True,
        type="CustomDataset",
        data_root="data/my_images",
        data_prefix="val",
        pipeline=test_pipeline,
    ),
)
# Top 1 only: there may be fewer than five classes. The latter two are for unbalanced ones.
test_evaluator = [
    dict(type="Accuracy", topk=(1,)),
    dict(type="BalancedAccuracy"),
    dict(type="AUC"),
]
