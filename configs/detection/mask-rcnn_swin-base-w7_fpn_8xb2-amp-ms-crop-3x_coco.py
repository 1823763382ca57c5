# Mask R-CNN with FPN on a Swin-B, COCO, 36 epochs with the augmentation of DETR (Swin's recipe,
# which Wang et al., CVPR 2023, follow). First
#   python tools/convert.py PRETRAINED.pth backbone.pth --to mmdet
# then
#   tools/dist_train.sh THIS_FILE 8 --cfg-options model.backbone.init_cfg.checkpoint=backbone.pth
_base_ = "mask-rcnn_swin-base-w7_fpn_8xb2-amp-1x_coco.py"

# The shorter side from 480 to 800; half of the images are scaled and cropped before that.
resize = dict(
    type="RandomChoiceResize",
    scales=[
        (480, 1333),
        (512, 1333),
        (544, 1333),
        (576, 1333),
        (608, 1333),
        (640, 1333),
        (672, 1333),
        (704, 1333),
        (736, 1333),
        (768, 1333),
        (800, 1333),
    ],
    keep_ratio=True,
)
crop = [
    dict(
        type="RandomChoiceResize", scales=[(400, 1333), (500, 1333), (600, 1333)], keep_ratio=True
    ),
    dict(
        type="RandomCrop",
        crop_type="absolute_range",
        crop_size=(384, 600),
        allow_negative_crop=True,
    ),
]
train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations", with_bbox=True, with_mask=True),
    dict(type="RandomFlip", prob=0.5),
    dict(type="RandomChoice", transforms=[[resize], [*crop, resize]]),
    dict(type="PackDetInputs"),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))

param_scheduler = [
    dict(type="LinearLR", start_factor=1e-3, by_epoch=False, begin=0, end=1000),
    dict(type="MultiStepLR", by_epoch=True, milestones=[27, 33], gamma=0.1),
]
train_cfg = dict(max_epochs=36)
