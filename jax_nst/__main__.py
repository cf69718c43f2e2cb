"""`python -m jax_nst`, the same as `jax-nst`."""

import sys

from jax_nst.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
