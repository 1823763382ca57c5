# Fine-tuning of ViT-B from LoMaR, 1600 epochs, relative positions kept (Chen et al. 2022):
#   tools/dist_train.sh THIS_FILE 8 --cfg-options model.backbone.init_cfg.checkpoint=PRETRAINED.pth
_base_ = "vit-base-p16_localmim-1600e-pre_8xb128-amp-coslr-100e_in1k.py"

model = dict(backbone=dict(type="IRPEViT"))

# 5e-4 for a batch of 256.
param_scheduler = _base_.param_scheduler
param_scheduler[0].end = param_scheduler[1].begin = 5  # warm-up
param_scheduler[1].eta_min_ratio = 1e-6 / 2e-3
