"""Packaging; the pinned environments of the Makefile are in requirements/."""

import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
VERSION: dict[str, str] = {}
exec((ROOT / "localmim" / "version.py").read_text(), VERSION)

ONEDL = ["onedl-mmengine>=0.10.12,<0.11", "onedl-mmcv>=2.3.6,<2.4", "onedl-mmpretrain>=1.3.6,<1.4"]
# Its mmengine finds installed packages by pkg_resources, which later setuptools lack.
OPENMMLAB = [
    "mmengine>=0.10.7,<0.11",
    "mmcv-lite>=2.1.0,<2.2",
    "mmpretrain>=1.2.0,<1.3",
    "setuptools<82",
]


class BuildWithConfigs(build_py):
    """Bring configs and tools along in ``localmim/.mim``, where OpenMMLab's mim looks for them.

    A build has copies there, an editable install links to the originals.
    """

    def run(self):
        super().run()
        package = ROOT if self.editable_mode else Path(self.build_lib)
        target = package / "localmim" / ".mim"
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        for name in ("configs", "tools", "model-index.yml"):
            source = ROOT / name
            if self.editable_mode:
                (target / name).symlink_to(source)
            elif source.is_dir():
                shutil.copytree(source, target / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, target)


setup(
    name="localmim",
    version=VERSION["__version__"],
    description="Masked-image pre-training for the OpenMMLab stack: LocalMIM and its relatives",
    long_description=(ROOT / "README.md").read_text(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    packages=find_packages(include=["localmim", "localmim.*"]),
    package_data={"localmim": ["py.typed"], "localmim.command": ["templates/*.html"]},
    entry_points={"console_scripts": ["localmim = localmim.command.main:main"]},
    cmdclass={"build_py": BuildWithConfigs},
    python_requires=">=3.10,<3.14",
    install_requires=[
        "torch>=2.6",
        "torchvision>=0.21",
        "numpy>=2.0",
        "jinja2>=3",
        "matplotlib>=3.8",
        "opencv-python",
        "packaging",
        "pillow>=10",
        "safetensors>=0.4.3",
        "scikit-learn>=1.3",
        "tqdm",
    ],
    # Exactly one of the families: both provide the modules mmengine, mmcv, mmpretrain.
    extras_require={
        "onedl": ONEDL,
        "openmmlab": OPENMMLAB,
        # mmdet asks for imaug, whose later versions ask for old opencvs, and for both builds of
        # opencv, which share their files and so have to be of one version.
        "downstream": [
            *ONEDL,
            "onedl-mmsegmentation>=1.4.2,<1.5",
            "onedl-mmdetection>=3.5.1,<3.6",
            "imaug<0.4.3",
            "opencv-python>=5",
            "opencv-python-headless>=5",
        ],
        # mmseg imports two that it does not ask for.
        "openmmlab-downstream": [
            *OPENMMLAB,
            "mmsegmentation>=1.2.2,<1.3",
            "mmdet>=3.3.0,<3.4",
            "ftfy",
            "regex",
        ],
        # Above that OpenMMLab's mmpretrain imports without its multimodal models (OneDL's: from 5).
        "test": ["pytest>=8", "timm>=1.0", "transformers>=4.40,<4.52"],
        # JPEGs for pre-training without it are decoded by Pillow.
        "jpeg": ["simplejpeg>=1.7"],
        "photos": ["scikit-image>=0.22"],
        # Features as .parquet, encoders as ONNX.
        "parquet": ["pyarrow>=15"],
        "onnx": ["onnx>=1.16", "onnxscript>=0.3"],
    },
    classifiers=[
        "Programming Language :: Python :: 3",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
)
