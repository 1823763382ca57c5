"""What a checkpoint may make a resumed training do besides going on."""

from pathlib import Path
from typing import Any

# Settings of mmengine's message hub by which CheckpointHook deletes files.
_PATHS = ("best_ckpt", "last_ckpt")
_KEPT = "keep_ckpt_ids"


def disarm(content: Any, path: Path) -> Any:
    """Take out of a checkpoint what mmengine executes or deletes when it resumes.

    - ``meta["config"]``, which ``Runner.resume`` runs as a Python program. (Files of before
      mmengine have it; its own training checkpoints say ``cfg``, which nobody runs.)
    - ``best_ckpt`` and ``last_ckpt`` of the message hub, files or folders that CheckpointHook
      deletes when there is a better one, unless they lie beside the checkpoint, as they do in a
      work dir.
    - ``keep_ckpt_ids``, of which it makes names of files to be deleted, unless they are numbers.

    Args:
        content: what was loaded. What is no dict is given back as it is.
        path: of its file.
    """
    if not isinstance(content, dict):
        return content
    if isinstance(meta := content.get("meta"), dict):
        meta.pop("config", None)
    hub = content.get("message_hub")
    info = hub.get("runtime_info") if isinstance(hub, dict) else None
    if isinstance(info, dict):
        for key in [key for key in info if not _harmless(key, info[key], path)]:
            del info[key]
    return content


def _harmless(key: Any, value: Any, path: Path) -> bool:
    if key == _KEPT:
        return isinstance(value, list) and all(type(number) is int for number in value)
    if not isinstance(key, str) or not key.startswith(_PATHS) or value is None:
        return True
    if not isinstance(value, str) or "\0" in value:
        return False
    named = Path(value)
    beside = named.parent.resolve() == path.parent.resolve()
    return beside and named.suffix == ".pth" and not named.is_dir()
