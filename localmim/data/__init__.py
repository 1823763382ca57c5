from .unlabelled import UnlabelledImages

__all__ = ["UnlabelledImages"]
