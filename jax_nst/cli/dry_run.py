"""`--plan`: what a command would do, told without painting."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jax_nst.cli.failures import FAILURE
from jax_nst.cli.terminal import show, tell
from jax_nst.sweeps.halving import Halving
from jax_nst.sweeps.job import Job
from jax_nst.sweeps.planning import done_items, forecast
from jax_nst.transfer.network import load_network


def show_plan(values: Mapping[str, Any], job: Job, batch: int | None, halving: Halving | None) -> int:
    """Prints what the run of a job would take, and each input that cannot be used.

    Returns:
      The exit status: 1 if a picture would fail.

    Raises:
      ValueError: as of the run.
    """
    several = len(job.items) > 1
    network = load_network(job.config, others=[item.config for item in job.items], quiet=values["quiet"])
    done = done_items(Path(values["resume"]), job, network) if several and values["resume"] else set()
    lines, problems = forecast(job, network, batch=batch if several else 1, done=done, halving=halving)
    for line in lines:
        show(line)
    for problem in problems:
        tell(f"jax_nst: {problem}")
    return FAILURE if problems else 0
