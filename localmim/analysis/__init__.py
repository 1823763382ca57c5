from .. import prepared  # noqa: F401  (first)
from .attention import (
    Attention,
    attention_distance,
    attention_entropy,
    normalized_mutual_information,
)
from .attention_figures import attention_figure
from .attention_maps import attention_maps
from .embedding import Embedding, embed
from .encoders import Encoder, load_encoder
from .hooks import ReconstructionHook, SignalsHook
from .layer_figures import neighbours_figure
from .layers import LayerStatistics, layer_features, linear_cka, nearest_images
from .online_probe import OnlineProbeHook
from .reconstruction import reconstruction_figures
from .signals import Skill, effective_rank, gradient_norms
from .statistics import AttentionStatistics, statistics_of
from .trained import extensions_of, image_files, load_trained
from .whole_images import load_whole_images

__all__ = [
    "Attention",
    "AttentionStatistics",
    "Embedding",
    "Encoder",
    "LayerStatistics",
    "OnlineProbeHook",
    "ReconstructionHook",
    "SignalsHook",
    "Skill",
    "attention_distance",
    "attention_figure",
    "attention_entropy",
    "attention_maps",
    "effective_rank",
    "embed",
    "extensions_of",
    "gradient_norms",
    "image_files",
    "layer_features",
    "linear_cka",
    "load_encoder",
    "load_trained",
    "load_whole_images",
    "nearest_images",
    "neighbours_figure",
    "normalized_mutual_information",
    "reconstruction_figures",
    "statistics_of",
]
