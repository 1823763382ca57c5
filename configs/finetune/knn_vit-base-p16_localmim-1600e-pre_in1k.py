# k nearest neighbours of ViT-B's class token in the training images, nothing trained:
#   python tools/test.py THIS_FILE PRETRAINED.pth
# The mean of the patches instead: --cfg-options model.backbone.out_type=featmap
_base_ = ["../_base_/datasets/imagenet_bs256_knn.py", "../_base_/default_runtime.py"]

model = dict(
    type="KNNClassifier",
    backbone=dict(
        type="VisionTransformer",
        arch="base",
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
    | dict(dataset=_base_.test_dataloader.dataset | dict(split="train")),
)
