"""Draws `cypresses.jpg`, a painting of a lane of cypresses under a swirling evening sky.

    python examples/make_style.py examples/cypresses.jpg

Thousands of short brush strokes follow a flow of vortices, as in post-impressionist
paintings, lightest and thickest last. Needs Pillow and NumPy only.
"""

import sys

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

WIDTH, HEIGHT, SCALE = 480, 360, 2  # drawn at twice the size, then reduced

# x, y of the centre and radius, in parts of the picture, and turn of each vortex of the sky.
VORTICES = ((0.22, 0.24, 0.16, 1), (0.55, 0.36, 0.2, -1), (0.85, 0.16, 0.14, 1), (0.4, 0.08, 0.1, -1))


def flow(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Angle of the strokes at x, y in [0, 1]."""
    u = np.ones_like(x)
    v = 0.25 * np.sin(7 * x)
    for cx, cy, radius, turn in VORTICES:
        dx, dy = x - cx, (y - cy) * HEIGHT / WIDTH
        pull = 3.0 * np.exp(-(dx**2 + dy**2) / (2 * (radius * 0.6) ** 2))
        distance = np.hypot(dx, dy) + 1e-6
        u, v = u - turn * pull * dy / distance, v + turn * pull * dx / distance
    return np.arctan2(v, u)


def hills(x: np.ndarray) -> np.ndarray:
    """Where the ground begins, in parts of the height."""
    return 0.68 + 0.05 * np.sin(5 * x + 1) + 0.03 * np.sin(13 * x)


def cypress(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Whether a point lies in one of the two trees."""
    inside = np.zeros_like(x, dtype=bool)
    for cx, top, base, width in ((0.13, 0.16, 0.95, 0.075), (0.73, 0.42, 0.88, 0.05)):
        t = np.clip((y - top) / (base - top), 0, 1)
        half = width * np.sqrt(t) * (1.05 - 0.6 * t**3) * (1 + 0.2 * np.sin(28 * t + 9 * x))
        inside |= (np.abs(x - cx - 0.012 * np.sin(9 * t)) < half) & (y > top) & (y < base)
    return inside


def palette(x: float, y: float, rng: np.random.Generator) -> tuple[np.ndarray, float, float]:
    """Colour, angle and length of a stroke at x, y."""
    px, py = np.array([x]), np.array([y])
    if cypress(px, py)[0]:
        colours = ((22, 48, 38), (38, 74, 44), (14, 28, 44), (74, 98, 40))
        return _pick(colours, rng), np.pi / 2 + 0.5 * np.sin(26 * y + 12 * x), 1.0
    if y > hills(px)[0]:
        depth = (y - hills(px)[0]) * 4
        near = ((196, 148, 44), (224, 182, 70), (160, 104, 40), (112, 122, 52))
        far = ((58, 92, 118), (82, 124, 112), (118, 142, 84), (42, 66, 108))
        return _pick(near if rng.random() < depth else far, rng), 0.5 * np.sin(9 * x + 14 * y), 1.2
    glow = 0.0
    for cx, cy, radius, _ in VORTICES:
        distance = np.hypot(x - cx, (y - cy) * HEIGHT / WIDTH)
        glow = max(glow, np.exp(-((distance / (radius * 0.42)) ** 2)))
        glow = max(glow, 0.55 * np.exp(-(((distance - radius * 0.8) / (radius * 0.16)) ** 2)))
    lights = ((250, 214, 98), (255, 238, 170), (240, 168, 66), (206, 222, 190))
    blues = ((26, 58, 132), (44, 92, 170), (82, 140, 198), (18, 34, 88), (130, 180, 206))
    return _pick(lights if rng.random() < glow else blues, rng), float(flow(px, py)[0]), 1.3


def _pick(colours: tuple[tuple[int, int, int], ...], rng: np.random.Generator) -> np.ndarray:
    return np.array(colours[rng.integers(len(colours))]) + rng.normal(0, 9, 3)


def stroke(draw: ImageDraw.ImageDraw, x: float, y: float, size: float, rng: np.random.Generator) -> None:
    """One curved stroke with a light and a dark edge, as thick paint has."""
    colour, angle, stretch = palette(x, y, rng)
    length, points = size * stretch * rng.uniform(2.4, 4.2), []
    px, py = x * WIDTH * SCALE, y * HEIGHT * SCALE
    sky = y < hills(np.array([x]))[0] and not cypress(np.array([x]), np.array([y]))[0]
    for _ in range(8):
        points.append((px, py))
        if sky:
            at = np.array([px / WIDTH / SCALE]), np.array([py / HEIGHT / SCALE])
            angle = float(flow(*at)[0])
        px, py = px + np.cos(angle) * length / 8, py + np.sin(angle) * length / 8
    normal = np.array([-np.sin(angle), np.cos(angle)])
    for shift, shade, width in ((0.3, -42, 0.9), (-0.3, 38, 0.9), (0.0, 0, 0.75)):
        moved = [tuple(np.array(point) + normal * shift * size) for point in points]
        fill = tuple(int(c) for c in np.clip(colour + shade, 0, 255))
        draw.line(moved, fill=fill, width=max(1, round(size * width)), joint="curve")


def main(path: str) -> None:
    """Draws the painting, always the same one, into `path`."""
    rng = np.random.default_rng(7)
    image = Image.new("RGB", (WIDTH * SCALE, HEIGHT * SCALE), (40, 60, 100))
    draw = ImageDraw.Draw(image)
    for size, count in ((16, 2600), (11, 4200), (7, 5200)):
        for x, y in rng.uniform(-0.03, 1.03, (count, 2)):
            stroke(draw, x, y, size * SCALE / 2, rng)
    image = image.filter(ImageFilter.GaussianBlur(0.6)).resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)
    image.save(path, quality=92)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
