"""Any folder of images as a data set."""

import logging
from collections.abc import Sequence
from pathlib import Path

import torch
from mmengine.logging import print_log
from mmpretrain.datasets import CustomDataset
from mmpretrain.registry import DATASETS

EXTENSIONS = (".jpg", ".jpeg", ".png", ".bmp", ".ppm", ".pgm", ".tif", ".tiff", ".webp")


@DATASETS.register_module()
class UnlabelledImages(CustomDataset):
    """All images below a folder, without labels.

    A file that cannot be read is replaced by another image, drawn at random; the log names each
    such file once and counts them. For this the pipeline's loader has to return None on a broken
    file, as ``LoadImageFromFile(ignore_empty=True, imdecode_backend="pillow")`` does; Pillow also
    notices truncated files and converts grey, palette and alpha images.

    Args:
        data_root: the folder, searched recursively.
        pipeline: transforms, the loader first.
        extensions: endings of the files to take, in lower case.
        **kwargs: other arguments of mmengine's BaseDataset.

    Raises:
        FileNotFoundError: the folder does not exist or holds no image.
    """

    def __init__(
        self,
        data_root: str,
        pipeline: Sequence[dict] = (),
        extensions: Sequence[str] = EXTENSIONS,
        **kwargs,
    ) -> None:
        super().__init__(
            data_root=data_root,
            with_label=False,
            extensions=extensions,
            pipeline=pipeline,
            **kwargs,
        )

    def _find_samples(self) -> list[str]:
        root = Path(self.img_prefix)
        if not root.is_dir():
            raise FileNotFoundError(
                f"data_root {self.data_root!r} is no folder; set it with "
                "--cfg-options train_dataloader.dataset.data_root=FOLDER"
            )
        if not any(self.is_valid_file(path.name) for path in root.rglob("*")):
            raise FileNotFoundError(
                f"data_root {self.data_root!r} holds no image with one of the endings "
                f"{' '.join(sorted(self.extensions))}"
            )
        return super()._find_samples()

    def full_init(self) -> None:
        """List the files; a flag per file is shared between the loader's worker processes."""
        super().full_init()
        self._unreadable = torch.zeros(len(self), dtype=torch.bool).share_memory_()

    def prepare_data(self, idx: int) -> dict | None:
        """One image through the pipeline, or None (and a warning, once) if it cannot be read."""
        data = super().prepare_data(idx)
        if data is None and not self._unreadable[idx]:
            self._unreadable[idx] = True
            print_log(
                f"Skipping unreadable image {self.get_data_info(idx)['img_path']} "
                f"({int(self._unreadable.sum())} of {len(self)} files so far)",
                logger="current",
                level=logging.WARNING,
            )
        return data
