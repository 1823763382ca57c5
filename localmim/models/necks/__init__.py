from .local_decoders import LocalDecoders

__all__ = ["LocalDecoders"]
