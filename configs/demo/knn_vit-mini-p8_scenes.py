# k nearest neighbours on procedural scenes, by the mean of the small ViT's patches:
#   python tools/test.py THIS_FILE PRETRAINED.pth
_base_ = ["../_base_/datasets/scenes_folder_bs32.py", "../_base_/iterations_runtime.py"]

test_dataloader = _base_.test_dataloader
train_dataloader = val_dataloader = val_evaluator = None
test_cfg = dict()

model = dict(
    type="KNNClassifier",
    backbone=dict(
        type="VisionTransformer",
        arch=dict(embed_dims=128, num_layers=8, num_heads=4, feedforward_channels=512),
        img_size=64,
        patch_size=8,
        out_type="featmap",
        init_cfg=dict(type="Pretrained", checkpoint="", prefix="backbone."),
    ),
    num_classes=10,
    bank_dataloader=test_dataloader
    | dict(dataset=test_dataloader.dataset | dict(data_root="data/scenes/folder/train")),
)
