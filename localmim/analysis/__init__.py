from .attention import (
    attention_distance,
    attention_entropy,
    attention_maps,
    normalized_mutual_information,
)
from .hooks import ReconstructionHook, SignalsHook
from .online_probe import OnlineProbeHook
from .reconstruction import reconstruction_figures
from .signals import Skill, effective_rank, gradient_norms
from .trained import image_files, load_trained
from .whole_images import load_whole_images

__all__ = [
    "OnlineProbeHook",
    "ReconstructionHook",
    "SignalsHook",
    "Skill",
    "attention_distance",
    "attention_entropy",
    "attention_maps",
    "effective_rank",
    "gradient_norms",
    "image_files",
    "load_trained",
    "load_whole_images",
    "normalized_mutual_information",
    "reconstruction_figures",
]
