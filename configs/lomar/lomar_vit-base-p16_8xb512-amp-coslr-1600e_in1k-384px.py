# LoMaR ViT-B with windows of images of 384x384 pixels, which cost the same.
_base_ = "lomar_vit-base-p16_8xb512-amp-coslr-1600e_in1k.py"

image_size = 384  # of backbone and crops
