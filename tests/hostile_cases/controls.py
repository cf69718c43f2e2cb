"""Odd masks, colours and strokes."""

import numpy as np
from PIL import Image

from hostile_cases.case import painted, refused, swept


def _mask(name="m.png", shape=(24, 32), colour=(255, 255, 255)):
    """Writes an image whose left half has a colour."""

    def setup():
        levels = np.zeros((*shape, 3), np.uint8)
        levels[:, : shape[1] // 2] = colour
        Image.fromarray(levels).save(name)

    return setup


def _labels():
    _mask("m.png", colour=(255, 0, 0))()
    _mask("n.png", (28, 28), colour=(0, 0, 255))()


CASES = [
    painted("controls: mask in grey", "--mask=m.png", setup=_mask()),
    painted("controls: mask of half the size", "--mask=m.png", setup=_mask(shape=(12, 16))),
    refused("controls: mask missing", "--mask=m.png", says="m.png", status=1),
    refused("controls: mask empty", "--mask=", says="mask"),
    refused(
        "controls: mask of the style missing",
        "--mask=m.png:n.png",
        says="n.png",
        status=1,
        setup=_mask(),
    ),
    refused(
        "controls: mask of other proportions",
        "--mask=m.png",
        says="same proportions",
        status={1, 2},
        setup=_mask(shape=(24, 24)),
    ),
    refused(
        "controls: mask black",
        "--mask=m.png",
        says="marks nothing",
        status={1, 2},
        setup=_mask(colour=(0, 0, 0)),
    ),
    refused("controls: mask no image", "--mask=c.txt", says="c.txt", status=1),
    refused(
        "controls: label without a partner",
        "--mask=m.png:n.png",
        says="has no region in the colour",
        status={1, 2},
        setup=_labels,
    ),
    refused("controls: mask weight negative", "--mask=m.png:weight=-1", says="zero or more"),
    refused(
        "controls: masks of weight 0 alone",
        "--mask=m.png:weight=0",
        says="nothing would be painted",
        status={1, 2},
        setup=_mask(),
    ),
    refused(
        "controls: mask with a loss that sorts",
        "--mask=m.png",
        "--style_loss=sliced",
        says="takes no masks",
        status={1, 2},
        setup=_mask(),
    ),
    refused(
        "controls: map of the weight missing", "--style_weight=map.png", says="style_weight takes numbers"
    ),
    painted("controls: map of the weight", "--style_weight=m.png", setup=_mask()),
    swept("controls: masks vary", "--mask=m.png", "--mask=m.png:weight=2", setup=_mask()),
    refused("controls: colour unknown", "--color=purple", says="keep, match, style"),
    refused("controls: amount of no colour", "--color_amount=0.5", says="color_amount has no effect"),
    refused("controls: amount beyond one", "--color=keep", "--color_amount=2", says="color_amount must be"),
    painted(
        "controls: colours kept of a grey style",
        "--color=keep",
        "--style=g.png",
        setup=_mask("g.png", (40, 40)),
    ),
    painted(
        "controls: colours matched to a grey style",
        "--color=match",
        "--style=g.png",
        setup=_mask("g.png", (40, 40)),
    ),
    refused("controls: angle nan", "--style_angle=nan", says="style_angle must be"),
    refused("controls: angle text", "--style_angle=left", says="style_angle"),
    refused("controls: noise negative", "--noise=-1", says="noise must be from 0 to 1"),
    refused("controls: sizes without a blend", "--style_sizes=20,30", says="style_sizes"),
    refused("controls: padding unknown", "--padding=mirror", says="zeros, replicate"),
]
