from .reconstruction_head import ReconstructionHead

__all__ = ["ReconstructionHead"]
