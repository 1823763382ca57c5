# ImageNet-1K for "ResNet strikes back" A2 (Wightman et al. 2021): 224 pixels, stronger
# augmentation. An epoch has a third of the images, each three times.
_base_ = "imagenet_bs256_rsb_a3.py"

train_pipeline = _base_.train_pipeline
train_pipeline[1].scale = 224
train_pipeline[3].magnitude_level = 7
train_dataloader = dict(
    sampler=dict(type="RepeatAugSampler", num_repeats=3), dataset=dict(pipeline=train_pipeline)
)
