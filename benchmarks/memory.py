"""What the steps of a picture take of the memory: the estimate beside XLA's analysis of the program.

    python benchmarks/memory.py                                   # VGG19-lite and the wavelets
    python benchmarks/memory.py --features vgg19 --sizes 256 512 --losses gram wasserstein

Compiles a step of L-BFGS with 10 pairs for each way to compute a picture, and runs nothing. Compiling takes
up to a minute each. The constants of the estimate are `Extractor.temporaries` and those of
jax_nst/transfer/estimate.py.
"""

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def network_of(features):
    """A network whose kernels are zero; no weights are needed to compile."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from jax_nst import vgg, wavelet
    from jax_nst.models.vgg import kernel_shape, needed_convs
    from jax_nst.transfer.network import Network

    if features == "wavelet":
        return Network(wavelet(), {}, None)
    extractor = vgg(features, use_winograd=jax.default_backend() == "cpu")
    layers = (*extractor.content_layers, *extractor.style_layers)
    shapes = {conv: kernel_shape(conv) for conv in needed_convs(features, layers)}
    params = {
        conv: {"kernel": np.zeros(x, np.float32), "bias": jnp.zeros(x[-1])} for conv, x in shapes.items()
    }
    return Network(extractor, extractor.prepare(params), None)


def measured(network, size, loss, tile_sizes):
    """Yields (way to compute, estimate, analysis), bytes of a picture of 4 : 3."""
    import numpy as np

    from jax_nst import Config
    from jax_nst.models.partition import REMATS, Partition
    from jax_nst.optim import make_optimizer
    from jax_nst.optim.step import Controls
    from jax_nst.runtime.platform import current_platform
    from jax_nst.transfer.choices import Choice
    from jax_nst.transfer.estimate import estimate_of
    from jax_nst.transfer.needs import state_of
    from jax_nst.transfer.pictures import Source
    from jax_nst.transfer.plan import objects_of
    from jax_nst.transfer.programs import step_programs
    from jax_nst.transfer.spec import resolve, resolve_level_weights
    from jax_nst.transfer.targets import Preparation

    extractor, shape = network.extractor, (size * 3 // 4, size, 3)
    config = Config(features=extractor, size=size, scales=1, style_loss=(loss,))
    spec = resolve(config, extractor, shape, current_platform())
    level, source = spec.levels[-1], Source(shape, lambda: np.empty(0))
    weights = resolve_level_weights(config, spec)[level]
    content, style = Preparation(network, level, spec.platform, [source], [source]).abstract()
    targets, optimizer = (
        {**content, **style},
        make_optimizer("lbfgs", memory_size=10, pairs_dtype="float32"),
    )
    estimate = estimate_of(extractor, network.params, level.terms, level.shape, targets, weights)
    partitions = [Partition(remat) for remat in REMATS]
    partitions += [Partition(tile_size=side) for side in tile_sizes if side < size]
    for partition in partitions:
        choice = Choice(partition, optimizer, str(partition))
        programs = step_programs(objects_of(spec, level, choice), partition)
        state = state_of(spec, level, choice)
        arguments = network.params, targets, Controls(weights, np.float32(1))
        yield partition, estimate(choice), programs.compile_advance(state, *arguments)[1]


def main():
    """Compiles, and prints a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--features", nargs="+", default=["vgg19-lite", "wavelet"])
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512, 1024])
    parser.add_argument("--losses", nargs="+", default=["wasserstein"])
    parser.add_argument("--tile_sizes", type=int, nargs="*", default=[256, 512, 1024])
    arguments = parser.parse_args()
    print(
        "| features | loss | size | how | XLA, MB | estimate, MB | ratio |\n|---|---|---|---|---|---|---|"
    )
    for features in arguments.features:
        network = network_of(features)
        for loss in arguments.losses:
            for size in arguments.sizes:
                for how, guess, found in measured(network, size, loss, arguments.tile_sizes):
                    row = f"{found / 2**20:.0f} | {guess / 2**20:.0f} | {guess / found:.2f}"
                    print(f"| {features} | {loss} | {size} | {how} | {row} |", flush=True)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
