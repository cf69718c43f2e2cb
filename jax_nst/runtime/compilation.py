"""JAX's persistent compilation cache."""

import os
from pathlib import Path

import jax

from jax_nst.runtime.files import cache_folder


def keep_compiled(folder: str) -> None:
    """Enables the persistent compilation cache; call it before anything is compiled.

    Args:
      folder: path of the cache; `auto` for the one configured in JAX, else one in the user's cache folder;
        `off` for no cache.

    Raises:
      ValueError: the folder cannot be created or written. With `auto`, programs are then not cached.
    """
    if folder == "off":
        jax.config.update("jax_enable_compilation_cache", False)
        return
    if folder == "auto" and getattr(jax.config, "jax_compilation_cache_dir", None):
        return
    path = cache_folder() / "compiled" if folder == "auto" else Path(folder)
    try:
        path.mkdir(parents=True, exist_ok=True)
        if not os.access(path, os.W_OK):
            raise PermissionError(13, "Permission denied")
    except OSError as error:
        if folder == "auto":
            return
        raise ValueError(
            f"{folder}: cannot be used as --compilation_cache ({error.strerror or error}); "
            "name another folder"
        ) from error
    jax.config.update("jax_compilation_cache_dir", str(path))
    # By default JAX does not cache programs that compile fast, but there are many of them.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
