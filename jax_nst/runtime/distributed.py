"""Several processes as one: JAX's own engine, and the few words they exchange."""

import contextlib
import os
from collections.abc import Callable

import jax
import numpy as np
from jax.experimental import multihost_utils


class PeerError(RuntimeError):
    """Another process has died or cannot be reached."""


def initialize(
    coordinator_address: str | None = None, num_processes: int | None = None, process_id: int | None = None
) -> None:
    """Joins the other processes. What is None comes from the environment, as JAX reads it.

    Raises:
      PeerError: the others are not to be found.
    """
    jax.config.update("jax_cpu_collectives_implementation", "gloo")  # for where there are CPUs only
    try:
        jax.distributed.initialize(coordinator_address, num_processes, process_id)
    except (ValueError, RuntimeError) as error:
        raise PeerError(
            f"the processes did not find each other ({_first_line(error)}); give each the same "
            "--coordinator_address and --num_processes and its own --process_id, or start them with Slurm, "
            "MPI or on a TPU pod"
        ) from error


def use_cores() -> None:
    """Makes two devices of a CPU, so that two items of a sweep are computed side by side.

    To be called before anything is computed; later, or where the number is set already, it does nothing.
    """
    given = getattr(jax.config, "jax_num_cpu_devices", -1) != -1 or "device_count" in os.environ.get(
        "XLA_FLAGS", ""
    )
    if not given and (os.cpu_count() or 1) > 1:
        with contextlib.suppress(RuntimeError):
            jax.config.update("jax_num_cpu_devices", 2)


def is_first() -> bool:
    """Whether this is the process that writes the report; the only one, if there are no others."""
    return jax.process_index() == 0


def num_processes() -> int:
    """How many there are; 1 if there are no others."""
    return jax.process_count()


def from_first(array: np.ndarray) -> np.ndarray:
    """The array of the first process; those of the others must have the same shape and type."""
    if jax.process_count() == 1:
        return array
    return _exchange(lambda: np.asarray(multihost_utils.broadcast_one_to_all(array)))


def gather(array: np.ndarray) -> np.ndarray:
    """`[...]` of each process -> `[processes, ...]`, the same on all."""
    if jax.process_count() == 1:
        return array[None]
    return _exchange(lambda: np.asarray(multihost_utils.process_allgather(array)))


def _exchange(exchange: Callable[[], np.ndarray]) -> np.ndarray:
    try:
        return exchange()
    except (ValueError, RuntimeError) as error:  # XLA raises both of a lost connection
        raise PeerError(
            f"another process has ended or cannot be reached ({_first_line(error)}); what is finished is "
            "safe, start all processes again with --resume"
        ) from error


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
