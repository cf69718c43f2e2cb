"""How exact the product in the gradient of a Gram matrix has to be, and what the choices cost in digits.

    python benchmarks/gram_products.py --weights vgg19.h5

The product of the features and a float32 matrix, for 512 channels of 16 x 16 positions whose Gram matrix is
within 1 % of its target: with the matrix in float32, in two pieces of the features' type, and in one. Each
result, in the features' type, is compared with float64. With weights, also the loss in float32 that a run
with it reaches.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

ROOT = Path(__file__).resolve().parent.parent


def choices() -> dict[str, Callable[[jax.Array, jax.Array], jax.Array]]:
    """Name -> `(features [h, w, C], matrix [C, D]) -> product`."""
    from jax_nst.losses import gram

    def whole(features: jax.Array, matrix: jax.Array) -> jax.Array:
        product = jnp.matmul(features.astype(matrix.dtype), matrix, precision=jax.lax.Precision.HIGHEST)
        return product.astype(features.dtype)

    def two_pieces(features: jax.Array, matrix: jax.Array) -> jax.Array:
        scale = jnp.max(jnp.abs(matrix))
        limits = jnp.finfo(features.dtype)
        leading = jax.lax.reduce_precision(matrix / scale, limits.nexp, limits.nmant)
        pieces = leading, matrix / scale - leading
        products = [
            jnp.matmul(features, piece.astype(features.dtype), preferred_element_type=matrix.dtype)
            for piece in pieces
        ]
        return (scale * (products[0] + products[1])).astype(features.dtype)

    return {"float32": whole, "two pieces": two_pieces, "one piece": gram.multiply}


def error(product: Callable[..., jax.Array], dtype: str) -> float:
    """Relative error of a product."""
    rng = np.random.default_rng(0)
    features = np.maximum(rng.normal(size=(16, 16, 512)), 0).astype(np.float32)
    features = jnp.asarray(features).astype(dtype)
    exact = np.asarray(features, np.float64)
    flat = exact.reshape(-1, 512)
    difference = 0.01 * (flat.T @ flat) / len(flat) * rng.normal(size=(512, 512))
    matrix = jnp.asarray(difference + difference.T, jnp.float32)
    expected = exact @ np.asarray(matrix, np.float64)
    found = np.asarray(jax.jit(product)(features, matrix), np.float64)
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


def loss(product: Callable[..., jax.Array], dtype: str, arguments: argparse.Namespace) -> float:
    """Loss in float32 of the picture that a run reaches whose Gram gradients are computed so."""
    from jax_nst import Config, load_image
    from jax_nst.losses import gram
    from jax_nst.transfer.network import load_network
    from jax_nst.transfer.programs import step_programs
    from jax_nst.transfer.transfer import run

    config = Config(
        size=arguments.size,
        steps=arguments.steps,
        scales=1,
        features="vgg19",
        weights=arguments.weights,
        style_loss=("gram",),
    )
    content = load_image(ROOT / "examples" / "cat.jpg", arguments.size)
    style = load_image(ROOT / "examples" / "cypresses.jpg")
    kept, gram.multiply = gram.multiply, product
    try:
        step_programs.cache_clear()  # the program would be that of another product
        low = Config(**{**vars(config), "precision": dtype})
        pixels = run(load_network(low), content, [style], config=low).pixels
    finally:
        gram.multiply = kept
    exact = Config(**{**vars(config), "precision": "float32", "steps": 1})
    return float(run(load_network(exact), content, [style], config=exact).score(pixels).total)


def rows(arguments: argparse.Namespace) -> Iterator[str]:
    """Rows of the table."""
    for dtype in ("bfloat16", "float16"):
        for name, product in choices().items():
            reached = f"{loss(product, dtype, arguments):.2f}" if arguments.weights else ""
            yield f"| {dtype} | {name} | {error(product, dtype):.1e} | {reached} |"


def main() -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", help="h5 file with VGG19 kernels; no losses without it")
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--steps", type=int, default=60)
    arguments = parser.parse_args()
    print("| features | matrix | error of the product | loss reached |\n|---|---|---|---|")
    for row in rows(arguments):
        print(row, flush=True)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
