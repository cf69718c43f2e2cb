"""Images: decoding, encoding, resizing and colours.

Pixels are RGB (sRGB), float32 in [0, 1], `[H, W, 3]`; alpha is `[H, W]`, 1 where opaque.
"""

from jax_nst.images.arrays import as_pictures as as_pictures
from jax_nst.images.arrays import as_pixels as as_pixels
from jax_nst.images.arrays import check_shape as check_shape
from jax_nst.images.arrays import checked_pixels as checked_pixels
from jax_nst.images.arrays import is_one_picture as is_one_picture
from jax_nst.images.colours import OPPONENT as OPPONENT
from jax_nst.images.colours import mix_colours as mix_colours
from jax_nst.images.decode import Head as Head
from jax_nst.images.decode import bounded_size as bounded_size
from jax_nst.images.decode import load_bounded as load_bounded
from jax_nst.images.decode import load_image as load_image
from jax_nst.images.decode import load_picture as load_picture
from jax_nst.images.decode import load_settings as load_settings
from jax_nst.images.decode import read_head as read_head
from jax_nst.images.encode import WRITABLE as WRITABLE
from jax_nst.images.encode import check_writable as check_writable
from jax_nst.images.encode import jpeg_of as jpeg_of
from jax_nst.images.encode import quantize as quantize
from jax_nst.images.encode import save_image as save_image
from jax_nst.images.find import find_images as find_images
from jax_nst.images.label_masks import masks_of as masks_of
from jax_nst.images.label_masks import same_label as same_label
from jax_nst.images.noise import blur as blur
from jax_nst.images.noise import grain as grain
from jax_nst.images.noise import white_noise as white_noise
from jax_nst.images.picture import MAX_SIZE as MAX_SIZE
from jax_nst.images.picture import ImageError as ImageError
from jax_nst.images.picture import Picture as Picture
from jax_nst.images.picture import composite as composite
from jax_nst.images.reading import READABLE as READABLE
from jax_nst.images.resize import cover as cover
from jax_nst.images.resize import crop as crop
from jax_nst.images.resize import crop_shape as crop_shape
from jax_nst.images.resize import fit_size as fit_size
from jax_nst.images.resize import resize as resize
from jax_nst.images.resize import resize_picture as resize_picture
from jax_nst.images.resize import shrink as shrink
from jax_nst.images.rotate import rotate as rotate
from jax_nst.images.rotate import rotated_shape as rotated_shape
