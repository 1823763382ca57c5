from .linear_decoder import LinearDecoder
from .local_decoders import LocalDecoders

__all__ = ["LinearDecoder", "LocalDecoders"]
