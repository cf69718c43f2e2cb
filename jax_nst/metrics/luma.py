"""Content measures of the luma alone: structural similarity, and agreement of edges."""

import numpy as np

_WEIGHTS = np.array([0.2126, 0.7152, 0.0722])  # ITU-R BT.709

_WINDOW, _SIGMA = 11, 1.5  # of Wang et al. 2004
_C1, _C2 = 0.01**2, 0.03**2

_EDGE_SIGMA = 1 / 256  # relative to the longer side: 2 pixels at 512


def luma(pixels: np.ndarray) -> np.ndarray:
    """Weighted mean of the channels as they are coded, `[H, W, 3]` -> `[H, W]`, float64 in [0, 1]."""
    return np.asarray(pixels, np.float64) @ _WEIGHTS


def ssim(pixels: np.ndarray, content: np.ndarray) -> float:
    """Structural similarity of the luma of two pictures (Wang, Bovik, Sheikh and Simoncelli 2004).

    Mean over windows of (2 μ μₜ + C₁)(2 c + C₂) / ((μ² + μₜ² + C₁)(σ² + σₜ² + C₂)), c the covariance.
    Windows are Gaussians of 11 x 11 pixels, σ 1.5, and lie within the picture; C₁ is 0.01², C₂ 0.03².

    Args:
      pixels: `[H, W, 3]`.
      content: of the same shape.

    Returns:
      From -1 to 1; 1 for equal luma. Higher is better.
    """
    x, y = (_at_least(luma(picture), _WINDOW) for picture in (pixels, content))
    kernel = _gaussian(_WINDOW // 2, _SIGMA)
    mean_x, mean_y = _filter(x, kernel), _filter(y, kernel)
    variance_x = _filter(x * x, kernel) - mean_x**2
    variance_y = _filter(y * y, kernel) - mean_y**2
    covariance = _filter(x * y, kernel) - mean_x * mean_y
    alike = (2 * mean_x * mean_y + _C1) * (2 * covariance + _C2)
    return float(np.mean(alike / ((mean_x**2 + mean_y**2 + _C1) * (variance_x + variance_y + _C2))))


def edge_agreement(pixels: np.ndarray, content: np.ndarray) -> float:
    """Correlation of the gradient magnitudes of two pictures: whether edges are where they were.

    The luma is blurred by a Gaussian of 1/256 of the longer side, at least one pixel; gradients are
    Sobel's. The correlation is Pearson's, over all pixels.

    Args:
      pixels: `[H, W, 3]`.
      content: of the same shape.

    Returns:
      From -1 to 1; 1 for edges of the same places and proportions, 0 where a picture has none. Higher is
      better.
    """
    x, y = (_edges(luma(picture)) for picture in (pixels, content))
    x, y = x - x.mean(), y - y.mean()
    power = np.sqrt(np.sum(x * x) * np.sum(y * y))
    return float(np.sum(x * y) / power) if power > 1e-12 * x.size else 0.0


def _edges(x: np.ndarray) -> np.ndarray:
    """Magnitude of Sobel's gradient of a blurred image, `[H, W]`."""
    sigma = max(1.0, _EDGE_SIGMA * max(x.shape))
    radius = round(3 * sigma)
    blurred = _filter(np.pad(x, radius + 1, mode="symmetric"), _gaussian(radius, sigma))
    smooth, difference = np.array([1, 2, 1]) / 4, np.array([-1, 0, 1]) / 2
    return np.hypot(_filter(blurred, smooth, difference), _filter(blurred, difference, smooth))


def _gaussian(radius: int, sigma: float) -> np.ndarray:
    """`[2 radius + 1]`, of sum 1."""
    kernel = np.exp(-0.5 * np.square(np.arange(-radius, radius + 1) / sigma))
    return kernel / kernel.sum()


def _filter(x: np.ndarray, down: np.ndarray, across: np.ndarray | None = None) -> np.ndarray:
    """Correlates with a separable kernel, where it lies within the image."""
    for kernel in (down, down if across is None else across):
        size = len(x) - len(kernel) + 1
        # Transposed each time: twice gives the axes their places back.
        x = sum(weight * x[i : i + size] for i, weight in enumerate(kernel)).T  # pyright: ignore
    return x


def _at_least(x: np.ndarray, size: int) -> np.ndarray:
    """The image, mirrored until each side has `size` pixels."""
    return np.pad(x, [(0, max(0, size - side)) for side in x.shape], mode="symmetric")
