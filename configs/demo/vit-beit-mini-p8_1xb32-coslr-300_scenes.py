# Fine-tuning of A2MIM's small ViT on procedural scenes.
_base_ = "vit-mini-p8_1xb32-coslr-300_scenes.py"

model = dict(
    backbone=dict(
        type="BEiTViT",
        use_abs_pos_emb=True,
        # Stochastic depth once per branch, outside the MLP.
        layer_cfgs=dict(ffn_cfg=dict(add_identity=False, dropout_layer=None)),
    )
)
