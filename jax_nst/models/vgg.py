"""VGG16 and VGG19 as a Flax module built from a table of blocks, and as extractors.

Simonyan and Zisserman 2015 (arXiv:1409.1556). Layers carry the paper's names:
`conv4_2` is the output of a convolution, `relu4_2` that of its ReLU. Kernels are
those that Keras publishes, trained by Caffe on BGR, 0-255, mean subtracted;
that preprocessing is the first line of the network, so pixels are RGB in [0, 1].
An odd last row or column is pooled on its own, where Keras and PyTorch drop it.
"""

import functools
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.linen.dtypes import promote_dtype
from jax.typing import DTypeLike

from jax_nst.models import winograd
from jax_nst.models.extractor import PRECISIONS, Extractor, Features, Params, Stage, dtype_of, products_of
from jax_nst.models.layers import pool, relu

CHANNELS = (64, 128, 256, 512, 512)
"""Output channels of the convolutions of each block; a pooling ends the block."""

CONVOLUTIONS = {"vgg19": (2, 2, 4, 4, 4), "vgg16": (2, 2, 3, 3, 3), "vgg19-lite": (2, 2, 4)}
"""How many convolutions each block has. `vgg19-lite` is VGG19 cut after relu3_4."""

CONTENT_LAYERS = {"vgg19": ("relu4_2",), "vgg16": ("relu4_2",), "vgg19-lite": ("relu3_1",)}
STYLE_LAYERS = {
    "vgg19": ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"),
    "vgg16": ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"),
    "vgg19-lite": ("relu1_1", "relu2_1", "relu3_1"),
}
POOLINGS = ("max", "average")
PADDINGS = ("zeros", "replicate")

BGR_MEAN = (103.939, 116.779, 123.68)

# With fewer channels, or positions, Winograd's algorithm gains little.
_WINOGRAD_CHANNELS = 128
_WINOGRAD_POSITIONS = 512


def conv_names(network: str) -> tuple[str, ...]:
    """`conv1_1` ... `conv5_4`, in the order of the forward pass."""
    return tuple(
        f"conv{block}_{index}"
        for block, count in enumerate(CONVOLUTIONS[network], start=1)
        for index in range(1, count + 1)
    )


def layer_names(network: str) -> tuple[str, ...]:
    """`conv1_1`, `relu1_1`, `conv1_2`, ... in the order of the forward pass."""
    return tuple(name for conv in conv_names(network) for name in (conv, conv.replace("conv", "relu")))


LAYERS = {network: layer_names(network) for network in CONVOLUTIONS}


def check_network(network: str) -> None:
    """Raises ValueError, listing the valid names, if a network is unknown."""
    if not isinstance(network, str) or network not in CONVOLUTIONS:
        raise ValueError(f"unknown network {network!r}; the valid ones are {', '.join(CONVOLUTIONS)}")


def needed_convs(network: str, layers: Sequence[str]) -> tuple[str, ...]:
    """The convolutions from the image to the deepest of `layers`."""
    convs = conv_names(network)
    deepest = max(convs.index(layer.replace("relu", "conv")) for layer in layers)
    return convs[: deepest + 1]


def kernel_shape(conv: str) -> tuple[int, int, int, int]:
    """`[3, 3, C_in, C_out]` of a convolution such as `conv3_1`."""
    block, index = (int(part) for part in conv.removeprefix("conv").split("_"))
    channels = CHANNELS[block - 1]
    if index > 1:
        return 3, 3, channels, channels
    return 3, 3, CHANNELS[block - 2] if block > 1 else 3, channels


def unit_of(precision: str) -> float:
    """`Extractor.unit`: activations reach 2.2e4 with Caffe's kernels, and float16 ends at 6.5e4."""
    return 32.0 if precision == "float16" else 1.0


class VGG(nn.Module):
    """The convolutional part of a VGG, cut after the deepest of `layers`.

    It is homogeneous: dividing the input and all biases by a power of two divides all features, exactly.

    Attributes:
      network: one of `CONVOLUTIONS`.
      layers: the names of the features to return.
      pooling: `max`, as trained, or `average`, as Gatys et al. prefer.
      precision: of the features, one of `extractor.PRECISIONS`.
      padding: of the pixels, one of `PADDINGS`; all other convolutions are padded with zeros.
    """

    network: str
    layers: tuple[str, ...]
    pooling: str = "max"
    precision: str = "float32"
    padding: str = "zeros"

    def setup(self) -> None:
        """The convolutions, named as the paper does."""
        dtype, precision = dtype_of(self.precision), products_of(self.precision)
        for conv in needed_convs(self.network, self.layers):
            # Winograd's sums and differences would lose most digits of a lower precision.
            transformed = self.get_variable("winograd", conv) if dtype is None else None
            convolve = functools.partial(_convolve, transformed)
            layer = nn.Conv(
                kernel_shape(conv)[-1],
                (3, 3),
                padding="VALID" if self._is_replicated(conv) else "SAME",
                dtype=dtype,
                precision=precision,
                promote_dtype=functools.partial(_promote, unit_of(self.precision)),
                conv_general_dilated=convolve,
            )
            setattr(self, conv, layer)

    def __call__(self, pixels: jax.Array) -> Features:
        """`[H, W, 3]` RGB in [0, 1] -> layer name -> `[h, w, C]`."""
        x, features = pixels, {}
        for block in self.blocks:
            x, found = self.block(x, block)
            features |= found
        return {layer: features[layer] for layer in self.layers}

    @property
    def blocks(self) -> range:
        """Numbers of the blocks that are needed, from 1."""
        return range(1, int(needed_convs(self.network, self.layers)[-1][4]) + 1)

    def block(self, x: jax.Array, number: int) -> tuple[jax.Array, Features]:
        """One block: its pooled output, and the requested features. The input of block 1 is the pixels."""
        if number == 1:
            x = 255.0 * x[..., ::-1] - jnp.asarray(BGR_MEAN, x.dtype).reshape(1, 1, 3)
            x = x / unit_of(self.precision)
        features = {}
        for conv in needed_convs(self.network, self.layers):
            if int(conv[4]) == number:
                if self._is_replicated(conv):
                    x = jnp.pad(x, ((1, 1), (1, 1), (0, 0)), mode="edge")
                x = features[conv] = getattr(self, conv)(x)
                x = features[conv.replace("conv", "relu")] = relu(x)
        if number < self.blocks[-1]:
            x = pool(x, self.pooling)
        return x, {layer: features[layer] for layer in self.layers if layer in features}

    def _is_replicated(self, conv: str) -> bool:
        return conv == "conv1_1" and self.padding == "replicate"


def _promote(unit: float, *arrays: Any, **settings: Any) -> list[Any]:
    """Input, kernel and bias of a convolution in one dtype, the bias in units of the features."""
    return promote_dtype(*arrays[:2], arrays[2] / unit, **settings)


def _convolve(
    transformed: jax.Array | None, x: jax.Array, kernel: jax.Array, *args: Any, **kwargs: Any
) -> jax.Array:
    """`lax.conv_general_dilated` of one picture, by Winograd's algorithm where it pays."""
    _, h, w, _ = x.shape
    if transformed is None or h * w < _WINOGRAD_POSITIONS:
        return jax.lax.conv_general_dilated(x, kernel, *args, **kwargs)
    return winograd.convolve(x[0], transformed)[None]


def network_of(params: Params) -> str:
    """The network that has the convolutions of `params`, and no more if it is `vgg19-lite`.

    Params that end before conv3_4 could be those of any; they are said to be `vgg19`'s.
    """
    deeper = any("conv3_4" < name < "conv6" for name in params)
    if "conv3_4" in params:
        return "vgg19" if deeper else "vgg19-lite"
    return "vgg16" if deeper else "vgg19"


def _stages(layers: Sequence[str], *, network: str, settings: tuple[str, ...]) -> list[Stage]:
    module = VGG(network, tuple(layers), *settings)

    def stage(params: Params, x: jax.Array, *, number: int) -> Any:
        variables = {"params": params, "winograd": params.get("winograd", {})}
        return module.apply(variables, x, number, method="block")

    return [functools.partial(stage, number=number) for number in module.blocks]


def _smallest_side(layers: Sequence[str]) -> int:
    return 2 ** (max(int(layer[4]) for layer in layers) - 1)


def _reach(layers: Sequence[str], *, network: str) -> int:
    """Each convolution sees one position further, of those at its own resolution."""
    return sum(2 ** (int(conv[4]) - 1) for conv in needed_convs(network, layers))


def _transform(params: Params) -> Params:
    """Adds the kernels of wide layers as Winograd's algorithm takes them."""
    wide = [
        conv
        for conv in params
        if conv.startswith("conv") and min(kernel_shape(conv)[2:]) >= _WINOGRAD_CHANNELS
    ]
    transformed = {conv: winograd.transform(params[conv]["kernel"]) for conv in wide}
    return {**params, "winograd": transformed} if wide else params


def _cast(params: Params, *, dtype: DTypeLike) -> Params:
    """Converts the kernels once instead of in every step; biases are small, and divided in float32."""
    return {conv: {**own, "kernel": jnp.asarray(own["kernel"], dtype)} for conv, own in params.items()}


def _plain(params: Params) -> Params:
    """Undoes `_transform`."""
    return {name: value for name, value in params.items() if name != "winograd"}


def vgg(
    network: str,
    *,
    pooling: str = "max",
    padding: str = "zeros",
    precision: str = "float32",
    use_winograd: bool = False,
) -> Extractor:
    """A VGG as an extractor; its params come from `weights.load_params`.

    Args:
      network: one of `CONVOLUTIONS`.
      pooling: `max`, as trained, or `average`, as Gatys et al. prefer.
      padding: around the pixels, `zeros`, as trained, or `replicate`: the pixels of the border repeated.
        Other convolutions are padded with zeros.
      precision: of the features, one of `extractor.PRECISIONS`; in float16 they are stored divided by 32.
      use_winograd: convolve wide layers by Winograd's algorithm, for CPUs. Not in bfloat16 or float16: its
        sums and differences would cost most of the digits.

    Returns:
      The same object for the same arguments.

    Raises:
      ValueError: one of the arguments is not valid.

    Example:
      >>> from jax_nst import vgg
      >>> vgg("vgg19-lite").style_layers
      ('relu1_1', 'relu2_1', 'relu3_1')
    """
    check_network(network)
    for name, value, choices in (
        ("pooling", pooling, POOLINGS),
        ("padding", padding, PADDINGS),
        ("precision", precision, PRECISIONS),
    ):
        if value not in choices:
            raise ValueError(f"unknown {name} {value!r}; the valid ones are {', '.join(choices)}")
    return _make(network, pooling, padding, precision, use_winograd and dtype_of(precision) is None)


@functools.cache
def _make(network: str, pooling: str, padding: str, precision: str, use_winograd: bool) -> Extractor:
    settings = pooling, precision, padding
    dtype = dtype_of(precision)
    options: dict[str, Any] = {}
    if dtype is not None:
        options = {"prepare": functools.partial(_cast, dtype=dtype)}
    elif use_winograd:
        options = {"prepare": _transform, "plain": _plain}
    return Extractor(
        name=network,
        layers=LAYERS[network],
        content_layers=CONTENT_LAYERS[network],
        style_layers=STYLE_LAYERS[network],
        stages=functools.partial(_stages, network=network, settings=settings),
        radius=2 * -(-max(CONVOLUTIONS[network]) // 2),  # even
        reach=functools.partial(_reach, network=network),
        smallest_side=_smallest_side,
        coarsest_size=128 if network == "vgg19-lite" else 256,
        whole="vgg19" if network == "vgg19-lite" else "",
        precision=precision,
        unit=unit_of(precision),
        **options,
    )
