from .frequency_head import FrequencyHead
from .reconstruction_head import ReconstructionHead

__all__ = ["FrequencyHead", "ReconstructionHead"]
