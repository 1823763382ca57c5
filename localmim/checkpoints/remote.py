"""Checkpoints from elsewhere: fetched into a file, which is read like any other.

Importing localmim makes these mmengine's loaders. Its own hand what they fetch to an unrestricted
unpickler.
"""

import fcntl
import hashlib
import os
import re
import shutil
import urllib.request
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.parse import unquote, urlsplit

import torch
from mmengine.fileio import get_local_path
from mmengine.runner import CheckpointLoader
from mmengine.runner.checkpoint import (
    get_deprecated_model_names,
    get_external_models,
    get_mmcls_models,
    get_torchvision_models,
)
from tqdm import tqdm

from localmim.durable import written_aside

from .safe_loading import load_from_file

ALLOW_HTTP = "LOCALMIM_ALLOW_HTTP"
TIMEOUT = 30  # seconds without a byte
_BLOCK = 1 << 20
_SPARE = 64 << 20  # bytes of disk that a download leaves free
_HASH = re.compile(r"-([0-9a-f]{8,64})\.")  # of torch's NAME-HASH.pth
_DATE = re.compile(r"20\d\d[01]\d[0-3]\d")


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows to where one could have gone directly."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        if req.type == "https" and urlsplit(newurl).scheme != "https":
            raise ValueError(f"{req.full_url} redirects to {newurl}, which is not encrypted")
        _check_scheme(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def fetch(url: str) -> Path:
    """Download a checkpoint into torch's cache, unless it is there.

    A file appears under its name only when it is complete. Where its name has a SHA-256 as torch
    writes it (NAME-HASH.pth), it has that hash. Processes wait for each other.

    Args:
        url: of https, or of http where the environment variable LOCALMIM_ALLOW_HTTP is 1.

    Raises:
        ValueError: the URL is none of these, names no file, or what came is not what was announced.
        OSError: the server could not be reached, or the disk is full.
    """
    _check_scheme(url)
    name = Path(unquote(urlsplit(url).path)).name
    if not name or "\0" in name:
        raise ValueError(f"{url} names no file")
    folder = hashlib.sha256(url.encode()).hexdigest()[:16]
    path = Path(torch.hub.get_dir(), "checkpoints", "localmim", folder, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path.parent / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.is_file():
            _download(url, path)
    return path


def _check_scheme(url: str) -> None:
    scheme = urlsplit(url).scheme
    if scheme == "http" and os.environ.get(ALLOW_HTTP) != "1":
        raise ValueError(
            f"{url} is not encrypted: anybody on the way can replace the checkpoint. Take https, "
            f"or set the environment variable {ALLOW_HTTP}=1"
        )
    if scheme not in ("http", "https"):
        raise ValueError(f"{url} is not of https")


def _download(url: str, path: Path) -> None:
    request = urllib.request.Request(url, headers={"User-Agent": "localmim"})
    try:
        with (
            urllib.request.build_opener(_Redirects).open(request, timeout=TIMEOUT) as response,
            written_aside(path) as partial,
        ):
            announced = response.headers.get("Content-Length")
            size = int(announced) if announced and announced.isdecimal() else None
            digest, received = _receive(response, partial, size)
            if size is not None and received != size:
                raise ValueError(f"{url} ended after {received} of {size} bytes")
            expected = _HASH.search(path.name)
            if expected and not _DATE.fullmatch(expected[1]) and not digest.startswith(expected[1]):
                raise ValueError(f"{url} has the SHA-256 {digest}, which is not that of its name")
    except HTTPException as error:
        raise OSError(f"{url} could not be fetched: {error!r}") from error


def _receive(response: HTTPResponse, path: Path, size: int | None) -> tuple[str, int]:
    """Write what arrives; return its hash and its size."""
    digest, received = hashlib.sha256(), 0
    with (
        path.open("wb") as file,
        tqdm(
            total=size, desc=f"fetching {path.name.split('.')[1]}", unit="B", unit_scale=True
        ) as bar,
    ):
        _check_space(path, size or 0)
        while block := response.read(_BLOCK):
            _check_space(path, len(block))
            file.write(block)
            digest.update(block)
            received += len(block)
            bar.update(len(block))
    return digest.hexdigest(), received


def _check_space(path: Path, size: int) -> None:
    free = shutil.disk_usage(path.parent).free - _SPARE
    if size > free:
        raise OSError(
            f"a download needs {size / 1e6:.0f} MB, of which {max(free, 0) / 1e6:.0f} MB are free "
            f"in {path.parent}"
        )


@CheckpointLoader.register_scheme(prefixes=("http://", "https://"), force=True)
def load_from_http(filename: str, map_location="cpu") -> dict:
    """Fetch a checkpoint, see :func:`fetch`, and load it safely."""
    return load_from_file(str(fetch(filename)), map_location)


@CheckpointLoader.register_scheme(prefixes=("modelzoo://", "torchvision://"), force=True)
def load_from_torchvision(filename: str, map_location="cpu") -> dict:
    """The weights of a torchvision model by its name, such as torchvision://resnet50."""
    return load_from_http(_listed(filename, get_torchvision_models()), map_location)


@CheckpointLoader.register_scheme(prefixes=("open-mmlab://", "openmmlab://"), force=True)
def load_from_openmmlab(filename: str, map_location="cpu") -> dict:
    """The weights of a model in OpenMMLab's list, or in the user's own beside mmengine's cache."""
    scheme, name = filename.split("://", 1)
    name = get_deprecated_model_names().get(name, name)
    place = _listed(f"{scheme}://{name}", get_external_models())
    if "://" in place:
        return load_from_http(place, map_location)
    home = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    home = os.environ.get("MMENGINE_HOME", f"{home}/mmengine")
    return load_from_file(str(Path(home, place)), map_location)


@CheckpointLoader.register_scheme(prefixes="mmcls://", force=True)
def load_from_mmcls(filename: str, map_location="cpu") -> dict:
    """The backbone of a model in mmcls' list."""
    content = load_from_http(_listed(filename, get_mmcls_models()), map_location)
    state = content.get("state_dict", content)
    inside = {n[len("backbone.") :]: x for n, x in state.items() if n.startswith("backbone.")}
    return {"state_dict": inside}


@CheckpointLoader.register_scheme(prefixes=(r"(\S+\:)?s3://", r"(\S+\:)?petrel://"), force=True)
def load_from_ceph(filename: str, map_location="cpu", backend: str = "petrel") -> dict:
    """A checkpoint from Ceph, by way of a temporary file."""
    with get_local_path(filename, backend_args={"backend": backend}) as path:
        return load_from_file(str(path), map_location)


@CheckpointLoader.register_scheme(prefixes="pavi://", force=True)
def load_from_pavi(filename: str, map_location="cpu") -> dict:
    """Refuse: its client is not public."""
    raise ValueError(f"{filename}: checkpoints from pavi are not loaded; download the file")


def _listed(filename: str, places: dict[str, str]) -> str:
    name = filename.split("://", 1)[1]
    if name not in places:
        raise ValueError(f"{filename}: there is no model of that name")
    return places[name]
