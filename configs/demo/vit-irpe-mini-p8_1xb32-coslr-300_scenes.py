# Fine-tuning of LoMaR's small ViT, which keeps its relative positions, on procedural scenes.
_base_ = "vit-mini-p8_1xb32-coslr-300_scenes.py"

model = dict(backbone=dict(type="IRPEViT"))
