"""Distributed runs: starting `jax.distributed`, and collectives on host arrays."""

import contextlib
import json
import os
import re
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from jax_nst.runtime.platform import num_cores

_LONGEST_ERROR = 1000  # bytes of a message sent to the other processes


class PeerError(RuntimeError):
    """Raised when another process has died, cannot be reached, has failed, or works at something else."""


def initialize(
    coordinator_address: str | None = None, num_processes: int | None = None, process_id: int | None = None
) -> None:
    """Joins the other processes of a distributed run.

    Args:
      coordinator_address: host and port of process 0, such as `localhost:1234`.
      num_processes: number of processes.
      process_id: index of this process. As the others, None to detect it from the environment.

    Raises:
      PeerError: the processes cannot connect.
      ValueError: the address is none, which JAX would wait for.
    """
    if coordinator_address is not None and not re.fullmatch(
        r"[^\s:]+:\d+|\[\S+\]:\d+", coordinator_address
    ):
        raise ValueError(f"--coordinator_address must be HOST:PORT, not {coordinator_address!r}")
    jax.config.update("jax_cpu_collectives_implementation", "gloo")  # ignored by GPUs and TPUs
    try:
        jax.distributed.initialize(coordinator_address, num_processes, process_id)
    except (ValueError, RuntimeError) as error:
        raise PeerError(
            f"the processes cannot connect ({_first_line(error)}); pass each the same "
            "--coordinator_address and --num_processes and a distinct --process_id, or start them with "
            "Slurm, MPI or on a TPU pod"
        ) from error


def use_cores() -> None:
    """Splits a CPU into two JAX devices, so that a sweep computes two items in parallel.

    Has no effect once JAX has been initialized, if the number of devices is configured, or on one core.
    """
    configured = getattr(jax.config, "jax_num_cpu_devices", -1) != -1 or "device_count" in os.environ.get(
        "XLA_FLAGS", ""
    )
    if not configured and num_cores() > 1:
        with contextlib.suppress(RuntimeError):
            jax.config.update("jax_num_cpu_devices", 2)


def is_first() -> bool:
    """Whether this process is process 0, which writes the reports."""
    return jax.process_index() == 0


def num_processes() -> int:
    """Returns the number of processes; 1 unless the run is distributed."""
    return jax.process_count()


def from_first(array: np.ndarray) -> np.ndarray:
    """Broadcasts the array of process 0; every process passes one of the same shape and dtype."""
    if jax.process_count() == 1:
        return array
    return _exchange(lambda: np.asarray(multihost_utils.broadcast_one_to_all(array)))


def gather(array: np.ndarray) -> np.ndarray:
    """Gathers the arrays of all processes, `[...]` -> `[processes, ...]`, on every process."""
    if jax.process_count() == 1:
        return array[None]
    return _exchange(lambda: np.asarray(multihost_utils.process_allgather(array)))


def object_of_first(value: Any) -> Any:
    """Sends what process 0 has, anything of JSON, to all processes."""
    if jax.process_count() == 1:
        return value
    text = np.frombuffer(json.dumps(value).encode(), np.uint8)
    length = int(from_first(np.array(len(text))))
    text = text[:length] if is_first() else np.zeros(length, np.uint8)
    return json.loads(from_first(text).tobytes())


@contextlib.contextmanager
def errors_of_all() -> Iterator[None]:
    """Makes an error of one process one of all: they end together, each with the reason.

    The body, which may raise ValueError or PeerError, calls no collective.
    """
    error: ValueError | PeerError | None = None
    try:
        yield
    except (ValueError, PeerError) as raised:
        if jax.process_count() == 1:
            raise
        error = raised
    if jax.process_count() == 1:
        return
    own = np.frombuffer(str(error or "").encode()[:_LONGEST_ERROR].ljust(_LONGEST_ERROR), np.uint8)
    said = [text.tobytes().decode(errors="ignore").rstrip() for text in gather(own)]
    if any(said):
        with contextlib.suppress(RuntimeError):
            jax.distributed.shutdown()  # waits for all: the end of process 0 would end the others at once
        number = next(index for index, text in enumerate(said) if text)
        raise error or PeerError(f"process {number}: {said[number]}")


@contextlib.contextmanager
def death_of_others() -> Iterator[None]:
    """Raises PeerError where XLA says that devices of other processes cannot be reached.

    Raises:
      PeerError: another process has died.
    """
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        message = _first_line(error)
        if jax.process_count() == 1 or "RESOURCE_EXHAUSTED" in message:
            raise
        raise PeerError(f"another process has died or cannot be reached ({message})") from error


def _exchange(exchange: Callable[[], np.ndarray]) -> np.ndarray:
    try:
        return exchange()
    except (ValueError, RuntimeError) as error:  # XLA raises either when a connection is lost
        raise PeerError(
            f"another process has died or cannot be reached ({_first_line(error)}); finished items are "
            "saved, restart all processes with --resume FOLDER"
        ) from error


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
