"""Settings, their defaults and their validation; the one source of the command line's defaults."""

import dataclasses
from typing import Any

import optax

from jax_nst.images import MAX_SIZE
from jax_nst.losses import CONTENT_TERMS, RECIPE_NAMES, STYLE_TERMS, Recipe
from jax_nst.models.extractor import PRECISIONS, Extractor
from jax_nst.models.partition import REMATS
from jax_nst.models.vgg import PADDINGS, POOLINGS
from jax_nst.optim import NUM_PAIRS, OPTIMIZERS, PAIRS
from jax_nst.runtime.values import shown
from jax_nst.transfer.conversion import bytes_in, converted
from jax_nst.transfer.masks import MaskLike, described_masks
from jax_nst.transfer.ratios import parse_ratios

FEATURES = ("auto", "vgg19", "vgg16", "vgg19-lite", "wavelet")
INITS = ("content", "style", "noise")
COLORS = ("keep", "match", "style")

DEFAULT_SIZE = 512
MAX_FLOAT = 1e38  # what float32 holds
PATIENCE = 20  # steps, see tolerance


def _setting(default: Any, doc: str) -> Any:
    return dataclasses.field(default=default, metadata={"doc": doc})


@dataclasses.dataclass(frozen=True)
class Config:
    """Every setting of a transfer. `None` stands for the default that the documentation of the field names.

    A value of another type is taken where it means one thing: scalars of NumPy, 512.0 for 512, lists and
    strings with commas for tuples, and paths.

    Raises:
      ValueError: a value is not valid; the message names the field and what is.

    Example:
      >>> from jax_nst import Config
      >>> Config(size=256, optimizer="adam").steps
      80
    """

    size: int | None = _setting(
        None,
        "longer side of the picture in pixels; a given size enlarges a small content too "
        f"(default: {DEFAULT_SIZE}, or the content's own if that is smaller)",
    )
    crop: tuple[str, ...] | None = _setting(
        None,
        "proportions, width:height, separated by commas, such as 4:3,3:4: the content is cropped to the "
        "nearest about its centre, so that many photographs need few programs (default: not cropped)",
    )
    style_size: int | None = _setting(
        None,
        "longer side of the style in pixels: larger makes larger strokes "
        "(default: the picture's, or the style's own if that is smaller)",
    )
    style_scale: float | None = _setting(
        None, "longer side of the style relative to that of the picture, instead of style_size"
    )
    style_sizes: tuple[int, ...] | None = _setting(
        None,
        "longer side of each of several styles that make one, in pixels, separated by commas, instead of "
        "style_size; one for each style",
    )
    style_angle: tuple[float, ...] | None = _setting(
        None,
        "angles in degrees, separated by commas: the style is the mean of copies rotated by each, "
        "counterclockwise, so that strokes run in all these directions (default: 0)",
    )
    features: str | Extractor = _setting(
        "auto",
        f"feature extractor, one of {', '.join(FEATURES)}; vgg19-lite is VGG19 up to relu3_4 and comes "
        "with this program; wavelet needs no trained weights; auto takes the recipe's VGG if its file is "
        "found or can be downloaded, else vgg19-lite, with a warning",
    )
    weights: str | None = _setting(
        None, "path of an h5 file with VGG kernels, in any layout of Keras (default: found or downloaded)"
    )
    recipe: str | Recipe = _setting(
        "normalized", f"definition of the loss, one of {', '.join(RECIPE_NAMES)}"
    )
    style_loss: tuple[str, ...] | None = _setting(
        None,
        f"style losses of recipe normalized: one or more of {', '.join(STYLE_TERMS)}, separated by commas; "
        "they share the style weight, equally or as in gram:2,moments:1 (default: wasserstein, for "
        "wavelets gram)",
    )
    content_loss: tuple[str, ...] | None = _setting(
        None, f"content losses of normalized, as style_loss: {', '.join(CONTENT_TERMS)} (default: features)"
    )
    optimizer: str | optax.GradientTransformation = _setting("lbfgs", f"one of {', '.join(OPTIMIZERS)}")
    steps: int = _setting(
        80,
        "updates of the picture at its full size, one evaluation of loss and gradient each; those of the "
        "smaller sizes come before, see scales",
    )
    scales: str | int = _setting(
        "auto",
        "number of sizes of the coarse-to-fine schedule, each twice the one before; the last has all the "
        "steps, each other one three tenths of them, at most 30; more sizes make broader strokes; auto "
        "begins at about 256 pixels, with vgg19-lite at about 128",
    )
    tolerance: float = _setting(
        0.0,
        f"stop when {PATIENCE} steps have lowered the best loss by no more than this share of it; 0: never",
    )
    learning_rate: float | None = _setting(
        None,
        "factor of an L-BFGS step, or radians a step for Adam (pixels = (1 + sin) / 2) (default: "
        + ", ".join(f"{rate:g} for {name}" for name, (_, rate) in OPTIMIZERS.items())
        + ")",
    )
    num_pairs: int | None = _setting(
        None,
        "how many pairs of steps and changes of the gradient L-BFGS remembers; they are the largest arrays "
        f"of a run (default: {NUM_PAIRS[0]}, and where the memory is short "
        f"{', '.join(map(str, NUM_PAIRS[1:]))})",
    )
    lbfgs_pairs: str = _setting(
        "auto",
        f"type of these pairs, one of auto, {', '.join(PAIRS)}; bfloat16 takes half the memory, and longer "
        "on a CPU; auto: float32 where it fits, and on a GPU bfloat16",
    )
    content_weight: float | None = _setting(None, "factor of the content term (default: the recipe's)")
    style_weight: float | str | None = _setting(
        None,
        "factor of the style term, or path of an image whose brightness multiplies the recipe's at each "
        "place (default: the recipe's)",
    )
    tv_weight: float | None = _setting(
        None, "factor of the total variation: larger is smoother (default: the recipe's)"
    )
    content_layers: tuple[str, ...] | None = _setting(
        None,
        "layers that keep the content, separated by commas (default: the recipe's; for wavelets, chosen "
        "from the image size)",
    )
    style_layers: tuple[str, ...] | None = _setting(
        None, "layers that carry the style, separated by commas (default: as content_layers)"
    )
    style_layer_weights: tuple[float, ...] | None = _setting(
        None,
        "one factor for each style layer, separated by commas; normalized divides them by their sum; for "
        "wavelets they belong to scale1 to scale5 unless style_layers are given (default: the recipe's)",
    )
    mask: tuple[MaskLike, ...] | None = _setting(
        None,
        "CONTENT.png:STYLE.png, several separated by commas: what is white in the first takes the style of "
        "what is white in the second, or of all without it; flat colours are labels of regions; also "
        ":picture=PAINTING.jpg, :weight=X; what no mask covers is left as it is (default: no masks)",
    )
    color: str = _setting(
        "style",
        f"colours of the picture, one of {', '.join(COLORS)}: keep those of the content, and take only the "
        "luminance of the style; match the colours of the style to the content before the run; or take "
        "those of the style",
    )
    color_amount: float = _setting(
        1.0, "how far color keep or match goes, from 0, which is as color style, to 1"
    )
    pooling: str = _setting("max", f"pooling of the VGG, one of {', '.join(POOLINGS)}")
    padding: str = _setting(
        "zeros",
        f"of the picture for the VGG's first convolution, one of {', '.join(PADDINGS)}; zeros, as trained, "
        "leave the outermost line smoother; replicate repeats the pixels of the border",
    )
    precision: str = _setting(
        "auto",
        f"of the features, one of auto, {', '.join(PRECISIONS)}; auto: float32 on a CPU, bfloat16 on a "
        "TPU or GPU, but float16 on a GPU whose tensor cores know nothing else (T4, V100)",
    )
    remat: str = _setting(
        "auto",
        "stages that are recomputed in the backward pass to save memory, one of auto, "
        f"{', '.join(REMATS)}; block1 is the first block of the network; auto takes the first that fits",
    )
    tile_size: str | int = _setting(
        "auto",
        "largest side in pixels of the tiles that a picture is computed in, one after the other, so that "
        "any size fits in memory; auto, where it does not fit whole, or none; the result is the same",
    )
    memory: str | None = _setting(
        None, "most memory that the run may take, such as 8GB (default: what the machine has left)"
    )
    init: str = _setting("content", f"where to start: {', '.join(INITS)}, or the path of an image")
    init_blur: float = _setting(
        0.0, "the picture to start from is blurred: standard deviation in pixels of the full size"
    )
    init_noise: float = _setting(
        0.0, "the picture to start from gets noise of this standard deviation, from 0 to 1"
    )
    noise: float = _setting(
        0.0,
        "the content gets grain of this standard deviation, from 0 to 1, so that flat areas get strokes; "
        "0.05 is a good value",
    )
    seed: int = _setting(
        0, "seed of the noise that is asked for; same seed, same machine and cores, same picture"
    )
    save_every: int = _setting(0, "save the best picture so far every so many steps; 0: only at the end")

    @property
    def style_map(self) -> str | None:
        """The path of the image that `style_weight` is, if it is one."""
        return self.style_weight if isinstance(self.style_weight, str) else None

    def __post_init__(self) -> None:
        for name, value in converted(self).items():
            object.__setattr__(self, name, value)
        _check_choice("features", self.features, FEATURES, Extractor)
        _check_choice("recipe", self.recipe, RECIPE_NAMES, Recipe)
        _check_choice("optimizer", self.optimizer, tuple(OPTIMIZERS), optax.GradientTransformation)
        _check_choice("lbfgs_pairs", self.lbfgs_pairs, ("auto", *PAIRS))
        _check_choice("color", self.color, COLORS)
        _check_choice("pooling", self.pooling, POOLINGS)
        _check_choice("padding", self.padding, PADDINGS)
        _check_choice("precision", self.precision, ("auto", *PRECISIONS))
        _check_choice("remat", self.remat, ("auto", *REMATS))
        _check_numbers(self)
        _check_together(self)
        for name in ("content_layers", "style_layers"):
            value = getattr(self, name)
            if value is not None and not (value and all(value)):
                raise ValueError(f"{name} must name layers, separated by commas, and no empty one")
        weights = self.style_layer_weights
        if weights is not None and not (sum(weights) > 0 and all(0 <= w <= MAX_FLOAT for w in weights)):
            raise ValueError(f"style_layer_weights must be zero or more, and not all zero, not {weights}")
        parse_ratios(self.crop or ())
        if not self.init:
            raise ValueError(f"init must be {', '.join(INITS)}, or the path of an image, not empty")


_WEIGHTS = ("content_weight", "style_weight", "tv_weight")


def _check_numbers(config: Config) -> None:
    """Raises ValueError if a number that need not be whole is out of its range."""
    for name in _WEIGHTS:
        value = getattr(config, name)
        if not isinstance(value, str | None) and not 0 <= value <= MAX_FLOAT:
            raise ValueError(f"{name} must be zero or more, {MAX_FLOAT:g} at most, not {value}")
    if config.learning_rate is not None and not 0 < config.learning_rate <= MAX_FLOAT:
        raise ValueError(
            f"learning_rate must be more than zero, {MAX_FLOAT:g} at most, not {config.learning_rate}"
        )
    if config.style_scale is not None and not 0 < config.style_scale <= MAX_SIZE:
        raise ValueError(
            f"style_scale must be more than zero, {MAX_SIZE} at most, not {config.style_scale}"
        )
    if not 0 <= config.tolerance < 1:
        raise ValueError(f"tolerance must be zero or more, and less than 1, not {config.tolerance}")
    if not 0 <= config.color_amount <= 1:
        raise ValueError(f"color_amount must be from 0 to 1, not {config.color_amount}")
    for name, most in (("init_blur", MAX_SIZE), ("init_noise", 1), ("noise", 1)):
        if not 0 <= getattr(config, name) <= most:
            raise ValueError(f"{name} must be from 0 to {most}, not {getattr(config, name)}")
    angles = config.style_angle
    if angles is not None and not (angles and all(-360 <= angle <= 360 for angle in angles)):
        raise ValueError(f"style_angle must be angles from -360 to 360 degrees, not {shown(angles)}")


def _check_together(config: Config) -> None:
    """Raises ValueError if settings contradict each other."""
    if config.content_weight == config.style_weight == config.tv_weight == 0:
        raise ValueError(
            "content_weight, style_weight and tv_weight are all zero, so nothing would change; raise one"
        )
    if config.style_scale is not None and config.style_size is not None:
        raise ValueError("style_size and style_scale both say how large the style is; leave one out")
    if config.style_sizes is not None and (config.style_scale is not None or config.style_size is not None):
        raise ValueError(
            "style_sizes say how large each style is; leave them out, or style_size and style_scale"
        )
    if config.init == "noise" and (config.init_blur or config.init_noise):
        raise ValueError(
            "init_blur and init_noise change a picture to start from, but init is noise; leave one out"
        )
    if config.learning_rate is not None and not isinstance(config.optimizer, str):
        raise ValueError("learning_rate is that of a named optimizer; set it in the one you pass")
    for name in ("num_pairs", "lbfgs_pairs"):
        if getattr(config, name) not in (None, "auto") and config.optimizer != "lbfgs":
            raise ValueError(f"{name} are those of optimizer lbfgs; leave one out")
    if config.remat != "auto" and isinstance(config.tile_size, int):
        raise ValueError(
            "remat recomputes stages of a whole picture, but there are tiles; leave out remat or tile_size"
        )
    bytes_in(config.memory)
    if config.color == "style" and config.color_amount != 1:
        raise ValueError(
            "color_amount has no effect with color style; choose color keep or match, or leave it out"
        )


def uses_seed(config: Config) -> bool:
    """Whether there is noise in the run."""
    return config.init == "noise" or config.init_noise > 0 or config.noise > 0


def _check_choice(name: str, value: Any, choices: tuple[str, ...], *types: type) -> None:
    if not (isinstance(value, str) and value in choices) and not isinstance(value, types):
        raise ValueError(f"unknown {name} {shown(value)}; the valid ones are {', '.join(choices)}")


def described(config: Config) -> dict[str, Any]:
    """The settings, ready for JSON; an extractor, recipe or optimizer by its name or type."""

    def plain(value: Any) -> Any:
        if isinstance(value, Extractor | Recipe):
            return value.name
        return type(value).__name__ if isinstance(value, optax.GradientTransformation) else value

    values = {field.name: plain(getattr(config, field.name)) for field in dataclasses.fields(config)}
    return values | {"mask": config.mask and described_masks(config.mask)}
