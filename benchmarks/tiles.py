"""A step in exact tiles beside a step of the whole picture: time, memory, and how far they differ.

    python benchmarks/tiles.py                                  # VGG19-lite, 1536 px, whole and in tiles
    python benchmarks/tiles.py --size 2048 --tiles 512 1024 --features wavelet
    python benchmarks/tiles.py --features vgg19 --weights vgg19.h5

The evaluations are interleaved; the least seconds of the processor, of all cores, are compared, so that
other programs matter little. `work` is the count: the pixels of all windows, times four thirds for the
second pass.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent


def problem(features, size, weights):
    """What a step of Adam needs, of the pictures in examples/."""
    from jax_nst import Config, load_image
    from jax_nst.runtime.platform import current_platform
    from jax_nst.transfer.item import make_item
    from jax_nst.transfer.network import load_network
    from jax_nst.transfer.pictures import Source
    from jax_nst.transfer.spec import resolve
    from jax_nst.transfer.targets import Preparation

    content, style = (load_image(ROOT / "examples" / name) for name in ("cat.jpg", "cypresses.jpg"))
    config = Config(features=features, weights=weights, size=size, scales=1, optimizer="adam")
    platform = current_platform()
    network = load_network(config, platform=platform)
    spec = resolve(config, network.extractor, content.shape, platform)
    item = make_item(config, spec, 0, (0,), (1.0,), ())
    sources = [Source(content.shape, lambda: content)], [Source(None, lambda: style)]
    made = Preparation(network, spec.levels[-1], platform, *sources).prepare(item)
    targets = {**made.content, **made.style}
    return network, spec, made.start, (network.params, targets, item.controls(spec.levels[-1]))


def main():
    """Measures, and prints a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--features", default="vgg19-lite")
    parser.add_argument("--weights", help="h5 file of the network")
    parser.add_argument("--size", type=int, default=1536, help="longer side in pixels")
    parser.add_argument("--tiles", type=int, nargs="+", default=[512, 1024])
    parser.add_argument("--repeats", type=int, default=2)
    arguments = parser.parse_args()
    import jax
    import jax.numpy as jnp

    from jax_nst.losses.grouped import network_layers
    from jax_nst.models.partition import Partition
    from jax_nst.models.tiles import tiling_of
    from jax_nst.runtime import malloc
    from jax_nst.transfer.plan import objects_of
    from jax_nst.transfer.programs import step_programs

    malloc.keep_pages()
    network, spec, start, rest = problem(arguments.features, arguments.size, arguments.weights)
    level = spec.levels[-1]
    ways = {
        "whole": Partition(),
        **{f"tiles of {side}": Partition(tile_size=side) for side in arguments.tiles},
    }
    steps, memory = {}, {}
    for name, partition in ways.items():
        programs = step_programs(objects_of(spec, level), partition)
        state = programs.init(jnp.asarray(start))
        steps[name], memory[name] = programs.compile_advance(state, *rest)
    best, rows = {}, {}
    for _ in range(arguments.repeats + 1):
        for name, partition in ways.items():
            state = step_programs(objects_of(spec, level), partition).init(jnp.asarray(start))
            used, began = time.process_time(), time.perf_counter()
            state, found = steps[name](state, *rest, 1)
            rows[name] = np.asarray(jax.block_until_ready(found[0]))
            seconds = time.process_time() - used, time.perf_counter() - began
            best[name] = min(best.get(name, seconds), seconds)
    print(
        "| how | work | processor s a step | ratio | s | MB | loss apart |\n|---|---|---|---|---|---|---|"
    )
    for name, partition in ways.items():
        work = 1.0
        if partition.tile_size:
            layers = network_layers(level.terms)
            work = 4 / 3 * tiling_of(network.extractor, layers, level.shape, partition.tile_size).work
        apart = abs(rows[name][0, 0] / rows["whole"][0, 0] - 1)
        print(
            f"| {name} | {work:.2f} | {best[name][0]:.2f} | {best[name][0] / best['whole'][0]:.2f} "
            f"| {best[name][1]:.2f} | {memory[name] / 2**20:.0f} | {apart:.1e} |"
        )


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
