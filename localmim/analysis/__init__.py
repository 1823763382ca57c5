from .hooks import ReconstructionHook, SignalsHook
from .reconstruction import reconstruction_figures
from .signals import Skill, effective_rank, gradient_norms
from .whole_images import load_whole_images

__all__ = [
    "ReconstructionHook",
    "SignalsHook",
    "Skill",
    "effective_rank",
    "gradient_norms",
    "load_whole_images",
    "reconstruction_figures",
]
