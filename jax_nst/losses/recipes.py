"""Recipes: tuples of weighted terms, the default one and published definitions of the loss.

With G = FᵀF / M over the M = h w positions of a layer (`gram.gram_matrix`), every published style loss is a
coefficient times sum((G - A)²), and every content loss one times sum((F - P)²). Published code takes both
images at one size; here each Gram matrix is divided by its own M, which at equal sizes is the published
number exactly.

A published weight belongs to the activation scale of its network. With features s times larger, a content
term is s² and a style term s⁴ times larger, so the same picture needs its weights divided by that.
`Recipe.published` keeps the numbers as printed; the weights in `Recipe.terms` are those that paint with
Keras' kernels.
"""

import dataclasses

from jax_nst.losses import content, gram, wasserstein
from jax_nst.losses.content import CONTENT, CONTENT_RATIO
from jax_nst.losses.cross_layer import CROSS_LAYER
from jax_nst.losses.gram import GRAM
from jax_nst.losses.moments import MOMENTS
from jax_nst.losses.nearest import NEAREST
from jax_nst.losses.self_similarity import SELF_SIMILARITY
from jax_nst.losses.sliced import SLICED, SORTED
from jax_nst.losses.term import Term, mean, quarter_mean
from jax_nst.losses.variation import ABSOLUTE_VARIATION, TOTAL_VARIATION
from jax_nst.losses.wasserstein import WASSERSTEIN

STYLE_TERMS = {
    "gram": GRAM,
    "moments": MOMENTS,
    "cross_layer": CROSS_LAYER,
    "wasserstein": WASSERSTEIN,
    "sliced": SLICED,
    "sorted": SORTED,
    "nnfm": NEAREST,
}
"""Name in `--style_loss` -> term. A new style loss is a file and a line here."""

CONTENT_TERMS = {"features": CONTENT, "self_similarity": SELF_SIMILARITY}
"""Name in `--content_loss` -> term."""

STRENGTHS: dict[str, dict[str | None, float]] = {
    "moments": {None: 4.7, "wavelet": 0.8},
    "cross_layer": {None: 1.9, "wavelet": 5.3},
    "wasserstein": {None: 0.2, "wavelet": 0.18},  # by the SSIM of twelve pairs; see `benchmarks/losses.py`
    "sliced": {None: 2.1, "wavelet": 0.87},
    "sorted": {None: 1.8, "wavelet": 0.4},
    "nnfm": {None: 0.02},  # by eye: it leaves contrast free, so the content suffers in another way
    "self_similarity": {None: 16.0},  # by the SSIM and the edges of twelve pairs
}
"""Name of a loss -> extractor, or None for the others -> the factor that gives it about the strength of the
first of its kind: pictures keep about as much of the content; see `benchmarks/strengths.py`."""


_DEFAULT_LOSSES = {"content": "features", "style": "wasserstein", "style of wavelet": "gram"}


def default_loss(reference: str, extractor: str) -> str:
    """Name of the loss of recipe normalized for the `content` or the `style`."""
    return _DEFAULT_LOSSES.get(f"{reference} of {extractor}", _DEFAULT_LOSSES[reference])


def strength_of(loss: str, extractor: str) -> float:
    """The entry of `STRENGTHS`; 1 where there is none."""
    factors = STRENGTHS.get(loss, {})
    return factors.get(extractor, factors.get(None, 1.0))


@dataclasses.dataclass(frozen=True)
class Recipe:
    """One definition of the loss.

    Attributes:
      name: as `--recipe` takes it.
      terms: (weight, term) pairs; the objective is their weighted sum.
      network: the extractor it is for; None for any.
      mean_over_layers: divide the layer weights that a user gives by their sum.
      published: (content, style, tv) weights as printed, where they differ from those of `terms`.

    Raises:
      ValueError: two terms have one name.

    Example:
      >>> from jax_nst import CONTENT, GRAM, MOMENTS, Config, Recipe
      >>> recipe = Recipe("gram and moments", ((1.0, CONTENT), (800.0, GRAM), (200.0, MOMENTS)))
      >>> config = Config(recipe=recipe)
    """

    name: str
    terms: tuple[tuple[float, Term], ...]
    network: str | None = None
    mean_over_layers: bool = False
    published: tuple[float, float, float] | None = None

    def __post_init__(self) -> None:
        names = [term.name for _, term in self.terms]
        if len(set(names)) < len(names) or "total" in names:
            raise ValueError(
                f"the terms of recipe {self.name} are named {', '.join(names)}; give each a name of its "
                "own, other than total"
            )


def find_recipe(name: str, extractor: str) -> Recipe:
    """The recipe of that name for an extractor, or the one for any; raises ValueError if there is none."""
    named = [recipe for recipe in RECIPES if recipe.name == name]
    if not named:
        raise ValueError(f"unknown recipe {name!r}; the valid ones are {', '.join(RECIPE_NAMES)}")
    return next((recipe for recipe in named if recipe.network == extractor), named[0])


_STYLE = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")

# torchvision's networks take input divided by ImageNet's standard deviation, about 0.225 of
# [0, 1], so their activations are about 255 * 0.225 times smaller. Ratio of style to content: s².
_TORCHVISION = (255 * 0.225) ** 2

_CONTENT = dataclasses.replace(CONTENT, layers=("relu4_2",))
# Eq. 4 of Gatys et al., sum((FᵀF - A)²) / (4 N² M²): the M² is in the Gram matrices.
_GATYS_STYLE = dataclasses.replace(GRAM, target=quarter_mean, layers=_STYLE)
# Layers of all VGGs, also of vgg19-lite.
_NEAREST = dataclasses.replace(NEAREST, layers=("relu3_1", "relu3_3"))
_MOMENTS = dataclasses.replace(MOMENTS, layers=("relu1_1", "relu2_1", "relu3_1"))
_UDACITY_STYLE = dataclasses.replace(GRAM, target=gram.mean_undivided)

RECIPES = (
    # Each term relative to its target: the same look at every size and with every network. The style loss
    # is that of `Config.style_loss`, and 1000 the weight that Gram matrices have; see `STRENGTHS`.
    Recipe("normalized", ((1.0, CONTENT), (1000.0, GRAM), (65.0, TOTAL_VARIATION)), mean_over_layers=True),
    # The wavelets' channels are of very different power, so Gram entries are compared one by one.
    Recipe(
        "normalized",
        (
            (1.0, CONTENT),
            (1000.0, dataclasses.replace(GRAM, target=gram.relative_to_entries)),
            (5.0, TOTAL_VARIATION),
        ),
        network="wavelet",
        mean_over_layers=True,
    ),
    # Gatys, Ecker and Bethge 2015 (arXiv:1508.06576): alpha / beta = 1e-3, w = 1/5. As printed the content
    # is a sum and the style nearly a mean, and the content wins, more so the larger the picture; the style
    # weight here gives the balance of coursera's recipe at 512 pixels.
    Recipe(
        "gatys2015",
        (
            (1.0, dataclasses.replace(_CONTENT, target=content.half_sum)),
            (1e7, _GATYS_STYLE),
            (0.0, TOTAL_VARIATION),
        ),
        network="vgg19",
        published=(1.0, 1000.0, 0.0),
    ),
    # The exercise of Coursera's "Convolutional Neural Networks" (Ng et al.): alpha 10, beta 40, w = 0.2;
    # Adam, start from the content. Same activation scale.
    Recipe(
        "coursera",
        (
            (10.0, dataclasses.replace(_CONTENT, target=quarter_mean)),
            (40.0, _GATYS_STYLE),
            (0.0, TOTAL_VARIATION),
        ),
        network="vgg19",
    ),
    # github.com/nazianafis/Neural-Style-Transfer: L-BFGS, start from the content, height 400. torchvision's
    # network on 0-255 input, so about the same activation scale. The style is the sum over entries of Gram
    # matrices divided by C h w, which is the mean of these.
    Recipe(
        "nazianafis",
        (
            (1e5, dataclasses.replace(_CONTENT, target=mean)),
            (3e4, dataclasses.replace(GRAM, target=mean, layers=_STYLE)),
            (1.0, ABSOLUTE_VARIATION),
        ),
        network="vgg19",
    ),
    # Udacity's deep-learning-v2-pytorch exercise: Adam 0.003. "conv" there is ReLU in effect, which works
    # in place.
    Recipe(
        "udacity",
        (
            (1.0, dataclasses.replace(_CONTENT, target=mean)),
            (
                1e6 / _TORCHVISION,
                dataclasses.replace(
                    _UDACITY_STYLE, layers=_STYLE, layer_weights=(1.0, 0.75, 0.2, 0.2, 0.2)
                ),
            ),
            (0.0, TOTAL_VARIATION),
        ),
        network="vgg19",
        published=(1.0, 1e6, 0.0),
    ),
    # github.com/sushant097: VGG16, content from the last layer, Adam 0.003 (0.5, 0.999), 300 x 300.
    Recipe(
        "sushant097",
        (
            (10.0, dataclasses.replace(_CONTENT, target=mean, layers=("relu4_3",))),
            (
                1e4 / _TORCHVISION,
                dataclasses.replace(
                    _UDACITY_STYLE,
                    layers=("relu1_2", "relu2_2", "relu3_3", "relu4_3"),
                    layer_weights=(1.0, 1.0, 1.0, 1.0),
                ),
            ),
            (0.0, TOTAL_VARIATION),
        ),
        network="vgg16",
        published=(10.0, 1e4, 0.0),
    ),
    # github.com/crowsonkb/style-transfer-pytorch with its Wasserstein-2 style loss. Features s times larger
    # make this content s times and this style s² times larger. Theirs runs Adam 0.02 on sizes a factor of
    # √2 apart, averages the iterates, repeats the border in the first convolution, and may pool by means.
    # It adds 1e-4 to the variances, less than float32 resolves; `wasserstein` adds 1e-3 of the mean power.
    # Its variation counts a zero difference at the border, (W - 1) / W of ours; some copies of it have
    # diagonal differences too.
    Recipe(
        "wasserstein",
        (
            (0.015 / _TORCHVISION**0.5, dataclasses.replace(CONTENT_RATIO, layers=("relu4_2",))),
            (
                1 / _TORCHVISION,
                dataclasses.replace(
                    WASSERSTEIN,
                    target=wasserstein.mean_gaussian,
                    layers=_STYLE,
                    layer_weights=tuple(weight / 341 for weight in (256, 64, 16, 4, 1)),
                ),
            ),
            (2.0, TOTAL_VARIATION),
        ),
        network="vgg19",
        published=(0.015, 1.0, 2.0),
    ),
    # Heitz et al. 2021 (arXiv:2006.07229) compare the style alone, in more layers, and draw new directions
    # at every step. The content and the variation are those of `normalized`.
    Recipe("sliced", ((1.0, CONTENT), (2100.0, SLICED), (65.0, TOTAL_VARIATION)), mean_over_layers=True),
    Recipe(
        "sliced",
        ((1.0, CONTENT), (870.0, SLICED), (5.0, TOTAL_VARIATION)),
        network="wavelet",
        mean_over_layers=True,
    ),
    # After ARF (Zhang et al. 2022, arXiv:2206.06360), which matches relu3_1 to relu3_3 at once, and to all
    # positions of the style. Cosines leave contrast and colour free: ARF transfers the colours before and
    # after, here the moments of the features bring them.
    Recipe(
        "nnfm",
        ((1.0, CONTENT), (10.0, _NEAREST), (10.0, _MOMENTS), (20.0, TOTAL_VARIATION)),
        network="vgg19-lite",
        mean_over_layers=True,
    ),
    # After STROTSS (Kolkin et al. 2019, arXiv:1904.12785). Its relaxed earth mover's distance is the larger
    # one of both directions of matching, here only from the picture to the style; it compares hypercolumns
    # (all layers at once) at positions drawn anew at each step, full covariances, and colours in YUV, and
    # runs RMSprop on a Laplacian pyramid with a falling content weight.
    Recipe(
        "strotss",
        ((16.0, SELF_SIMILARITY), (10.0, _NEAREST), (10.0, _MOMENTS), (20.0, TOTAL_VARIATION)),
        network="vgg19-lite",
        mean_over_layers=True,
    ),
)
"""All recipes; one name may stand several times, for several extractors."""

RECIPE_NAMES = tuple(dict.fromkeys(recipe.name for recipe in RECIPES))
