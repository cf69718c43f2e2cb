"""The loss by how many pairs L-BFGS remembers, and in which type: what less memory costs.

    python benchmarks/num_pairs.py                                  # 512 px, 80 and 200 steps
    python benchmarks/num_pairs.py --sizes 1024 --steps 80 --pairs 50:float32 10:bfloat16 0
    python benchmarks/num_pairs.py --content c.jpg --style s.jpg --json num_pairs.json

Paints one picture with each, and prints the loss after each number of steps relative to that of the
first, and the bytes of the pairs. `0` is Adam, which has none. Started again with the same --json, it goes
on where it was stopped.
"""

import argparse
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAIRS = [f"{count}:{dtype}" for count in (50, 20, 10, 5) for dtype in ("float32", "bfloat16")] + ["0"]


def optimizer_of(pairs):
    """`50:float32` -> L-BFGS; `0` -> Adam."""
    from jax_nst.optim import make_optimizer

    if pairs == "0":
        return make_optimizer("adam")
    count, dtype = pairs.split(":")
    return make_optimizer("lbfgs", memory_size=int(count), pairs_dtype=dtype)


def losses(arguments, size, pairs):
    """The least loss after each number of steps."""
    from jax_nst import Config, load_image, stylize

    config = Config(
        features=arguments.features, size=size, steps=max(arguments.steps), optimizer=optimizer_of(pairs)
    )
    content, style = load_image(arguments.content), load_image(arguments.style)
    result = stylize(content, style, config=config)
    totals = [row["total"] for row in result.history["steps"] if row["size"] == size]
    return [min(totals[: steps + 1]) for steps in arguments.steps]


def table(arguments, found):
    """Markdown."""
    steps = [f"loss after {count}" for count in arguments.steps]
    yield f"| size | pairs | bytes a pixel | {' | '.join(steps)} |"
    yield f"|---|---|---|{'---|' * len(steps)}"
    for size in arguments.sizes:
        first = found[f"{size} {arguments.pairs[0]}"]
        for pairs in arguments.pairs:
            count, _, dtype = pairs.partition(":")
            num_bytes = 2 * int(count) * 3 * (2 if dtype == "bfloat16" else 4)
            name = f"{count} in {dtype}" if dtype else "Adam"
            ratios = [own / base for own, base in zip(found[f"{size} {pairs}"], first, strict=True)]
            yield f"| {size} | {name} | {num_bytes} | {' | '.join(f'{ratio:.3f}' for ratio in ratios)} |"


def main():
    """Paints, and prints a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--content", default=str(ROOT / "examples" / "cat.jpg"))
    parser.add_argument("--style", default=str(ROOT / "examples" / "cypresses.jpg"))
    parser.add_argument("--features", default="vgg19-lite")
    parser.add_argument("--sizes", type=int, nargs="+", default=[512], help="longer sides in pixels")
    parser.add_argument("--steps", type=int, nargs="+", default=[80, 200])
    parser.add_argument("--pairs", nargs="+", default=PAIRS, help="others are compared with the first")
    parser.add_argument("--json", help="file to keep the losses in")
    arguments = parser.parse_args()
    path = Path(arguments.json) if arguments.json else None
    found = json.loads(path.read_text()) if path and path.exists() else {}
    for size in arguments.sizes:
        for pairs in arguments.pairs:
            if f"{size} {pairs}" not in found:
                found[f"{size} {pairs}"] = losses(arguments, size, pairs)
                print(size, pairs, *found[f"{size} {pairs}"], flush=True)
            if path:
                path.write_text(json.dumps(found, indent=1))
    print("\n".join(table(arguments, found)))


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
