"""`python main.py --content c.jpg --style s.jpg`; all of it is in `jax_nst.cli.main`."""

import signal
import sys

if __name__ == "__main__":
    # Loading JAX takes a second, in which Ctrl-C is to end the program without a word.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        from jax_nst.cli.main import main
    except ModuleNotFoundError as error:
        sys.exit(f"jax_nst: {error}; install what it needs with: pip install -e .")

    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.exit(main())
