"""Draws the masks of the examples: the cat, the background behind it, regions of the two paintings, and a
map that grows from left to right.

    python examples/make_masks.py

Red is the foreground and blue the background, of the labels; of the others, white is inside.
"""

from pathlib import Path

from PIL import Image, ImageDraw, ImageFilter, ImageOps

FOLDER = Path(__file__).resolve().parent
FINER = 4  # of the drawing, which is then reduced, for soft edges

# The outline of the cat in cat.jpg, 384 x 255 pixels.
CAT = (
    (52, -1), (33, 22), (28, 33), (34, 61), (32, 105), (17, 119), (-1, 133), (-1, 256), (124, 256),
    (243, 236), (265, 216), (275, 199), (271, 177), (282, 160), (303, 145), (313, 124), (308, 91),
    (305, 60), (318, 41), (338, 14), (344, -1),
)  # fmt: skip
# What lies below the horizon of cypresses.jpg, and below the waterline of waves.jpg, 480 x 360 pixels.
FIELD = ((-1, 272), (120, 262), (240, 240), (300, 252), (481, 232), (481, 361), (-1, 361))
SEA = (
    (-1, 122), (60, 128), (160, 95), (230, 125), (290, 128), (350, 98), (420, 122), (481, 126),
    (481, 361), (-1, 361),
)  # fmt: skip


def drawn(shape: tuple[int, int], outline: tuple[tuple[int, int], ...]) -> Image.Image:
    """A grey image of (width, height), white within an outline, with a soft edge."""
    image = Image.new("L", (shape[0] * FINER, shape[1] * FINER))
    ImageDraw.Draw(image).polygon([(x * FINER, y * FINER) for x, y in outline], fill=255)
    return image.resize(shape, Image.Resampling.BOX).filter(ImageFilter.GaussianBlur(1))


def labels(inside: Image.Image) -> Image.Image:
    """Red inside, blue outside."""
    is_inside = inside.point([255 * (level > 127) for level in range(256)])
    outside = ImageOps.invert(is_inside)
    return Image.merge("RGB", (is_inside, Image.new("L", inside.size), outside))


def main() -> None:
    """Draws them."""
    cat = drawn((384, 255), CAT)
    cat.save(FOLDER / "cat_mask.png", optimize=True)
    ImageOps.invert(cat).save(FOLDER / "background_mask.png", optimize=True)
    labels(cat).save(FOLDER / "cat_labels.png", optimize=True)
    Image.linear_gradient("L").rotate(90).resize(cat.size).save(FOLDER / "fade.png", optimize=True)
    for name, outline in (("cypresses", FIELD), ("waves", SEA)):
        labels(drawn((480, 360), outline)).save(FOLDER / f"{name}_labels.png", optimize=True)


if __name__ == "__main__":
    main()
