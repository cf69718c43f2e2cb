"""Draws `waves.jpg`, a sea of waves under a red sun, flat colours and ink lines as in woodblock prints.

    python examples/make_waves.py examples/waves.jpg

Needs Pillow and NumPy only.
"""

import sys

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

WIDTH, HEIGHT, SCALE = 480, 360, 2  # drawn at twice the size, then reduced
INK, FOAM, SUN = (24, 32, 58), (240, 234, 214), (206, 74, 46)
SKY = ((238, 222, 184), (232, 206, 160), (226, 190, 140))
SEA = ((44, 84, 128), (70, 116, 152), (30, 60, 102), (104, 146, 168))


def crest(x: np.ndarray, row: int, rng: np.random.Generator) -> np.ndarray:
    """Height of a row of waves along x, in pixels."""
    length, phase = WIDTH * SCALE / (2.5 + row * 0.4), rng.uniform(0, 6)
    tooth = np.abs(((x / length + phase) % 1) * 2 - 1) ** 1.6  # steep on top, round below
    return HEIGHT * SCALE * (0.36 + 0.075 * row) - (70 - 3 * row) * tooth


def paint(rng: np.random.Generator) -> Image.Image:
    """The picture at full size."""
    width, height = WIDTH * SCALE, HEIGHT * SCALE
    image = Image.new("RGB", (width, height), SKY[0])
    draw = ImageDraw.Draw(image)
    for band in range(60):
        y = band * height * 0.5 / 60
        colour = tuple(int(c + rng.normal(0, 4)) for c in SKY[min(2, band // 20)])
        draw.rectangle((0, y, width, y + height / 100), fill=colour)
    draw.ellipse((width * 0.66, height * 0.06, width * 0.84, height * 0.3), fill=SUN, outline=INK, width=4)
    x = np.arange(0, width + 8, 8.0)
    for row in range(9):
        top = crest(x, row, rng)
        for layer in range(9):  # stripes that follow the crest
            line = top + layer * (9 + row) + rng.normal(0, 1.0, x.shape)
            colour = FOAM if layer == 0 else SEA[(layer + row) % len(SEA)]
            outline = [*zip(x, line, strict=True), (width, height), (0, height)]
            draw.polygon(outline, fill=colour)
            draw.line(list(zip(x, line, strict=True)), fill=INK, width=3 if layer < 2 else 2)
        for index in np.flatnonzero(np.r_[False, (top[1:-1] < top[:-2]) & (top[1:-1] <= top[2:]), False]):
            for _ in range(16):  # fingers of foam
                radius = rng.uniform(3, 9)
                cx, cy = x[index] + rng.normal(0, 26), top[index] + abs(rng.normal(0, 16))
                draw.ellipse(
                    (cx - radius, cy - radius, cx + radius, cy + radius), fill=FOAM, outline=INK, width=2
                )
    return image.filter(ImageFilter.GaussianBlur(0.8))


def main() -> None:
    """Draws, reduces and saves."""
    rng = np.random.default_rng(7)
    image = paint(rng).resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)
    paper = np.asarray(image, np.float32) + rng.normal(0, 3, (HEIGHT, WIDTH, 1))
    Image.fromarray(np.clip(paper, 0, 255).astype(np.uint8)).save(sys.argv[1], quality=92)


if __name__ == "__main__":
    main()
