# ImageNet-1K for linear probing; 2048 images per GPU, crops and flips only.
_base_ = "imagenet_bs128_finetune.py"

train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="RandomResizedCrop", scale=224, backend="pillow", interpolation="bicubic"),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PackInputs"),
]
train_dataloader = dict(batch_size=2048, num_workers=16, dataset=dict(pipeline=train_pipeline))
