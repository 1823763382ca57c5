"""Any folder of images as a data set."""

import logging
from collections.abc import Sequence
from pathlib import Path

import torch
from mmengine.logging import print_log
from mmpretrain.datasets import CustomDataset
from mmpretrain.registry import DATASETS

from .listing import list_files
from .unusable import Reason, UnusableImage

EXTENSIONS = (".jpg", ".jpeg", ".png", ".bmp", ".ppm", ".pgm", ".tif", ".tiff", ".webp")
UNSEEN, USABLE = 0, 1  # states of a file besides the reasons

_NAMED = 20  # unusable files that the log names one by one


@DATASETS.register_module()
class UnlabelledImages(CustomDataset):
    """All images below a folder, without labels.

    A file that gives no image is replaced by another one, drawn from NumPy's random generator,
    whatever was found before: the same generator gives the same images. Why a file is unusable is
    known from loaders that raise :class:`UnusableImage`, as ``LoadImage`` does.

    Args:
        data_root: the folder, searched recursively, behind links too.
        pipeline: transforms, the loader first.
        extensions: endings of the files to take, in lower case.
        **kwargs: other arguments of mmengine's BaseDataset.

    Attributes:
        states: a byte per file, shared between the processes of a data loader: ``UNSEEN``,
            ``USABLE`` or a :class:`Reason`.

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
        if not Path(self.img_prefix).is_dir():
            raise FileNotFoundError(
                f"data_root {self.data_root!r} is no folder; set it with "
                "--cfg-options train_dataloader.dataset.data_root=FOLDER"
            )
        files = list_files(self.img_prefix, self.is_valid_file)
        if not files:
            raise FileNotFoundError(
                f"data_root {self.data_root!r} holds no image with one of the endings "
                f"{' '.join(sorted(self.extensions))}"
            )
        return files

    def full_init(self) -> None:
        """List the files, none of which has been seen yet."""
        if not self._fully_initialized:
            super().full_init()
            self._forget()

    def get_subset_(self, indices: Sequence[int] | int) -> None:
        super().get_subset_(indices)
        self._forget()

    def get_subset(self, indices: Sequence[int] | int) -> "UnlabelledImages":
        subset = super().get_subset(indices)
        subset._forget()
        return subset

    def _forget(self) -> None:
        self.states = torch.zeros(len(self), dtype=torch.uint8).share_memory_()

    def path(self, idx: int) -> str:
        """Path of a file."""
        return self.get_data_info(idx)["img_path"]

    def prepare_data(self, idx: int) -> dict | None:
        """One image through the pipeline, or None (and a warning, once) if a file gives none."""
        try:
            data = super().prepare_data(idx)
            error = None if data is not None else UnusableImage(Reason.UNKNOWN, "", self.path(idx))
        except UnusableImage as unusable:
            data, error = None, unusable
        if error is None:
            if self.states[idx] == UNSEEN:
                self.states[idx] = USABLE
        elif self.states[idx] <= USABLE:
            self.states[idx] = int(error.reason)
            self._warn(error)
        return data

    def _warn(self, error: UnusableImage) -> None:
        count = int((self.states > USABLE).sum())
        if count <= _NAMED:
            last = "; further ones are counted, not named" if count == _NAMED else ""
            print_log(
                f"Skipping unusable image {error} ({count} of {len(self)} files so far{last})",
                logger="current",
                level=logging.WARNING,
            )
