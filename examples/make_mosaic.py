"""Draws `mosaic.jpg`, a mosaic of irregular stones with a sun over hills, as on the floor of a villa.

    python examples/make_mosaic.py examples/mosaic.jpg

Needs Pillow and NumPy only.
"""

import sys

import numpy as np
from PIL import Image, ImageFilter

WIDTH, HEIGHT, STONE = 480, 360, 13  # pixels
GROUT = (58, 50, 46)
SUN, SKY, HILLS = (224, 160, 52), (206, 196, 168), ((150, 62, 44), (92, 104, 62), (44, 66, 78))


def centres(rng: np.random.Generator) -> np.ndarray:
    """`[stones, 2]`, (x, y): a grid, each point moved a little."""
    x, y = np.meshgrid(np.arange(-STONE, WIDTH + STONE, STONE), np.arange(-STONE, HEIGHT + STONE, STONE))
    grid = np.stack([x.ravel(), y.ravel()], axis=-1).astype(float)
    return grid + rng.uniform(-0.42 * STONE, 0.42 * STONE, grid.shape)


def colour(x: float, y: float) -> tuple[int, int, int]:
    """What the picture of the mosaic shows at a place."""
    if np.hypot(x - 340, y - 96) < 62:
        return SUN
    for index, hill in enumerate(reversed(HILLS)):
        if y > 300 - 62 * index + 34 * np.sin(x / (52 + 22 * index) + 2 * index):
            return hill
    return SKY


def paint(rng: np.random.Generator) -> np.ndarray:
    """`[H, W, 3]`: each pixel has the colour of its nearest stone, or is grout between two."""
    stones = centres(rng)
    colours = np.array([colour(x, y) for x, y in stones]) + rng.normal(0, 14, (len(stones), 1))
    x, y = np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT))
    picture = np.empty((HEIGHT, WIDTH, 3))
    for row in range(HEIGHT):
        near = stones[np.abs(stones[:, 1] - row) < 3 * STONE]
        nearby = colours[np.abs(stones[:, 1] - row) < 3 * STONE]
        distances = np.hypot(x[row, :, None] - near[:, 0], y[row, :, None] - near[:, 1])
        first, second = np.sort(distances, axis=-1)[:, :2].T
        picture[row] = nearby[np.argmin(distances, axis=-1)]
        picture[row, second - first < 1.6] = GROUT
    return picture


def main() -> None:
    """Draws and saves."""
    rng = np.random.default_rng(3)
    picture = paint(rng) + rng.normal(0, 4, (HEIGHT, WIDTH, 1))
    image = Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))
    image.filter(ImageFilter.GaussianBlur(0.6)).save(sys.argv[1], quality=88)


if __name__ == "__main__":
    main()
