"""What ends a run: exceptions -> an exit status and a sentence."""

import signal

import jax

from jax_nst.models.weights import WeightsError
from jax_nst.runtime.distributed import PeerError
from jax_nst.runtime.files import FileError
from jax_nst.runtime.memory import OutOfMemoryError
from jax_nst.runtime.platform import PlatformError

WRONG_FLAGS = 2
FAILURE = 1

# How XLA says so; the second on a CPU.
_NO_MEMORY = ("RESOURCE_EXHAUSTED", "Out of memory")


def explain(error: BaseException, *, sweeping: bool) -> tuple[int, str] | None:
    """The exit status and the sentence for an exception; None if it is a mistake of this program.

    A ValueError is about a value of a flag, status 2; unless it is one about a file, status 1.
    """
    if isinstance(error, KeyboardInterrupt):
        usual = "go on with --resume FOLDER" if sweeping else "nothing was saved"
        return 128 + signal.SIGINT, f"interrupted, {error.args[0] if error.args else usual}"
    if isinstance(error, FileError | WeightsError | FloatingPointError | PeerError | PlatformError):
        return FAILURE, str(error)
    if isinstance(error, ValueError):
        return WRONG_FLAGS, str(error)
    if isinstance(error, OSError):
        return FAILURE, sentence_of(error)
    out_of_memory = isinstance(error, jax.errors.JaxRuntimeError) and any(
        words in str(error) for words in _NO_MEMORY
    )
    if isinstance(error, MemoryError) or out_of_memory:
        smaller = "--batch or --size" if sweeping else "--size"
        if isinstance(error, OutOfMemoryError):
            return FAILURE, str(error) if error.size else f"{error}; make {smaller} smaller"
        return FAILURE, f"not enough memory for pictures of this size; make {smaller} smaller"
    return None


def sentence_of(error: OSError) -> str:
    """The file, if there is one, and the reason; without the number of the error."""
    file = f"{error.filename}: " if error.filename else ""
    return f"{file}{error.strerror or error}"
