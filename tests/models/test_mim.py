"""The parts compose to other algorithms: MAE's loss is mmpretrain's MAE, number for number."""

import torch
from mmpretrain.registry import MODELS

ARCH = dict(embed_dims=32, num_layers=2, num_heads=4, feedforward_channels=64)
NAMES = {
    "neck.decoder_embed.": "neck.decoders.0.embed.",
    "neck.decoder_blocks.": "neck.decoders.0.blocks.",
    "neck.ln1.": "neck.decoders.0.norm.",
    "neck.decoder_pred.": "neck.decoders.0.pred.",
    "neck.mask_token": "neck.decoders.0.mask_token",
}


def build_ours():
    return MODELS.build(
        dict(
            type="MaskedImageModel",
            backbone=dict(type="SparseViT", arch=ARCH, img_size=64, out_indices=(-1,)),
            mask_generator=dict(type="RandomMasking"),
            neck=dict(
                type="LocalDecoders",
                embed_dims=16,
                depth=3,
                num_heads=4,
            ),
            target_generator=dict(type="MultiScalePixels", patch_sizes=(16,)),
            head=dict(type="ReconstructionHead"),
        )
    )


def build_mmpretrains():
    return MODELS.build(
        dict(
            type="MAE",
            backbone=dict(type="MAEViT", arch=ARCH, img_size=64, mask_ratio=0.75),
            neck=dict(
                type="MAEPretrainDecoder",
                num_patches=16,
                embed_dim=32,
                decoder_embed_dim=16,
                decoder_depth=3,
                decoder_num_heads=4,
            ),
            head=dict(
                type="MAEPretrainHead",
                norm_pix=True,
                patch_size=16,
                loss=dict(type="PixelReconstructionLoss", criterion="L2"),
            ),
        )
    )


def renamed(name: str) -> str:
    for theirs, ours in NAMES.items():
        if name.startswith(theirs):
            return ours + name[len(theirs) :]
    return name


def test_mae_from_the_parts_is_mmpretrains_mae():
    ours, theirs = build_ours().double(), build_mmpretrains().double()
    theirs.init_weights()
    state = {renamed(k): v for k, v in theirs.state_dict().items()}
    # mmpretrain orders its fixed positions column by column; both get MAE's own order.
    theirs.neck.decoder_pos_embed.data[0, 1:] = (
        state.pop("neck.decoder_pos_embed")[0, 1:].view(4, 4, -1).transpose(0, 1).flatten(0, 1)
    )
    # A 1x1 convolution's weight has two more dimensions than a linear layer's.
    state["neck.decoders.0.pred.weight"] = state["neck.decoders.0.pred.weight"][..., None, None]
    ours.load_state_dict(state)

    images, losses = torch.randn(2, 3, 64, 64).double(), []
    for model in (ours, theirs):
        torch.manual_seed(5)  # both draw their masks from torch.rand(2, 16)
        losses.append(sum(model.loss(images, None).values()))
        losses[-1].backward()
    torch.testing.assert_close(losses[0], losses[1], rtol=1e-6, atol=0)  # float32 positions
    gradients = dict(ours.named_parameters())
    for name, parameter in theirs.named_parameters():
        if parameter.grad is not None:
            found = gradients[renamed(name)].grad.view_as(parameter)
            torch.testing.assert_close(found, parameter.grad, rtol=1e-5, atol=1e-7)
