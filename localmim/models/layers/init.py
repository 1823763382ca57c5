"""Weight initialisation shared by encoders and decoders."""

from torch import nn


def init_linear_and_norm(module: nn.Module) -> None:
    """Xavier-uniform linear layers with zero bias, layer norms at one and zero, as in MAE."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.LayerNorm):
            nn.init.ones_(layer.weight)
            nn.init.zeros_(layer.bias)


def init_patch_embed(patch_embed: nn.Module) -> None:
    """Initialise the convolution of mmcv's PatchEmbed as the linear layer that it is."""
    nn.init.xavier_uniform_(patch_embed.projection.weight.flatten(1))
    nn.init.zeros_(patch_embed.projection.bias)
