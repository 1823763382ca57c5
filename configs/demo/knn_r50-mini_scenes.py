# k nearest neighbours on procedural scenes of 128x128 pixels, by the mean of the small ResNet-50's
# last map:
#   python tools/test.py THIS_FILE PRETRAINED.pth
_base_ = "knn_vit-mini-p8_scenes.py"

test_pipeline = _base_.test_pipeline
test_pipeline[1].scale = 128
test_dataloader = _base_.test_dataloader
test_dataloader.dataset.pipeline = test_pipeline

model = dict(
    backbone=dict(
        _delete_=True,
        type="ResNet",
        depth=50,
        stem_channels=16,
        base_channels=16,
        init_cfg=dict(type="Pretrained", checkpoint="", prefix="backbone."),
    ),
    bank_dataloader=dict(dataset=dict(pipeline=test_pipeline)),
)
