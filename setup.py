"""Packaging; the pinned environments of the Makefile are in requirements/."""

from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
VERSION: dict[str, str] = {}
exec((ROOT / "localmim" / "version.py").read_text(), VERSION)

ONEDL = ["onedl-mmengine>=0.10.12,<0.11", "onedl-mmcv>=2.3.6,<2.4", "onedl-mmpretrain>=1.3.6,<1.4"]
OPENMMLAB = ["mmengine>=0.10.7,<0.11", "mmcv-lite>=2.1.0,<2.3", "mmpretrain>=1.2.0,<1.3"]

setup(
    name="localmim",
    version=VERSION["__version__"],
    description="Masked-image pre-training for the OpenMMLab stack: LocalMIM and its relatives",
    long_description=(ROOT / "README.md").read_text(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    packages=find_packages(include=["localmim", "localmim.*"]),
    python_requires=">=3.10,<3.13",
    install_requires=[
        "torch>=2.6",
        "torchvision>=0.21",
        "numpy>=2.0",
        "opencv-python",
        "packaging",
        "pillow>=10",
        "safetensors>=0.4.3",
        "tqdm",
    ],
    # Exactly one of the first two: both families provide the modules mmengine, mmcv, mmpretrain.
    extras_require={
        "onedl": ONEDL,
        "openmmlab": OPENMMLAB,
        "downstream": [
            *ONEDL,
            "onedl-mmsegmentation>=1.4.2,<1.5",
            "onedl-mmdetection>=3.5.1,<3.6",
        ],
        # Above that OpenMMLab's mmpretrain does not import (OneDL's: from 5).
        "test": ["pytest>=8", "timm>=1.0", "transformers>=4.40,<4.52"],
        "photos": ["scikit-learn>=1.3", "scikit-image>=0.22"],
    },
    classifiers=[
        "License :: OSI Approved :: Apache Software License",
        "Programming Language :: Python :: 3",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
)
