import numpy as np

from jax_nst.images import ImageError, composite
from jax_nst.runtime.files import FileError


def test_composite_is_over_white():
    pixels = np.tile(np.array([1.0, 0, 0.5], np.float32), (1, 3, 1))
    composited = composite(pixels, np.array([[0, 0.2, 1]], np.float32))
    np.testing.assert_allclose(composited[0], [[1, 1, 1], [1, 0.8, 0.9], [1, 0, 0.5]], atol=1e-6)


def test_image_error_is_a_file_error():
    assert issubclass(ImageError, FileError)
