# k nearest neighbours of ViT-S's class token: those in ROOT/train/CLASS/ classify
# ROOT/val/CLASS/, nothing trained:
#   python tools/test.py THIS_FILE PRETRAINED.pth --cfg-options \
#       model.bank_dataloader.dataset.data_root=ROOT test_dataloader.dataset.data_root=ROOT \
#       model.num_classes=CLASSES
_base_ = ["../_base_/datasets/folder_bs64_knn.py", "../_base_/default_runtime.py"]

model = dict(
    type="KNNClassifier",
    backbone=dict(
        type="VisionTransformer",
        arch="deit-small",
        img_size=224,
        patch_size=16,
        out_type="cls_token",
        init_cfg=dict(type="Pretrained", checkpoint="", prefix="backbone."),
    ),
    num_classes=1000,
    k=20,
    temperature=0.07,
    # As the validation images are loaded.
    bank_dataloader=_base_.test_dataloader
    | dict(dataset=_base_.test_dataloader.dataset | dict(data_prefix="train")),
)
