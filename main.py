"""`python main.py --content c.jpg --style s.jpg`; all of it is in `jax_nst.cli`."""

import sys

from jax_nst.cli import main

if __name__ == "__main__":
    sys.exit(main())
