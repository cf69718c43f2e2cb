"""Compiled programs kept from run to run, by JAX's persistent compilation cache."""

import os
from pathlib import Path

import jax

from jax_nst.runtime.files import cache_folder


def keep_compiled(folder: str) -> None:
    """Makes JAX look for compiled programs in a folder before it compiles, and keep new ones there.

    To be called before anything is compiled. Where the user has told JAX of a folder, that one is taken.

    Args:
      folder: its path; `auto` for one in the user's cache, `off` for none.

    Raises:
      ValueError: it cannot be made a folder; not for `auto`, which then does without.
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
            raise PermissionError(13, "may not be written")
    except OSError as error:
        if folder == "auto":
            return
        raise ValueError(f"{folder}: cannot keep compiled programs ({error.strerror or error})") from error
    jax.config.update("jax_compilation_cache_dir", str(path))
    # The small ones count too: there are many of them.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
