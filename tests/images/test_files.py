"""Every format and mode, good and bad, in and out."""

import contextlib
import os
import signal
import stat
import subprocess
import sys
import time
from io import BytesIO

import numpy as np
import pytest
import tifffile
from conftest import picture
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from jax_nst import load_image, save_image
from jax_nst.images import files as images
from jax_nst.images.files import ImageError
from jax_nst.runtime.files import FileError

SUFFIXES = ("png", "jpg", "webp", "tif", "bmp", "gif")


def levels(height=24, width=32):
    return images.quantize(picture(height, width))


def saved(path, image, **options):
    image.save(path, **options)
    return path


# In.


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_format_is_read(suffix, tmp_path):
    pixels = levels()
    path = saved(tmp_path / f"x.{suffix}", Image.fromarray(pixels))
    loaded = load_image(path)
    assert (loaded.shape, loaded.dtype) == ((24, 32, 3), np.float32)
    tolerance = {"jpg": 0.2, "webp": 0.2, "gif": 0.2}.get(suffix, 0)
    np.testing.assert_allclose(loaded, pixels / np.float32(255), atol=tolerance)


def test_the_first_frame_of_an_animation_is_read(tmp_path):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    path = saved(tmp_path / "x.gif", frames[0], save_all=True, append_images=frames[1:])
    np.testing.assert_allclose(load_image(path)[0, 0], [1, 0, 0], atol=0.01)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation, tmp_path):
    upright = levels()
    # What a camera would store, by the definition of each value: (transpose, flip rows, flip columns).
    transpose, rows, columns = {
        1: (0, 0, 0), 2: (0, 0, 1), 3: (0, 1, 1), 4: (0, 1, 0),
        5: (1, 0, 0), 6: (1, 1, 0), 7: (1, 1, 1), 8: (1, 0, 1),
    }[orientation]  # fmt: skip
    stored = upright.transpose(1, 0, 2) if transpose else upright
    stored = stored[::-1] if rows else stored
    stored = stored[:, ::-1] if columns else stored
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(tmp_path / "x.png", Image.fromarray(np.ascontiguousarray(stored)), exif=exif)
    np.testing.assert_array_equal(images.quantize(load_image(path)), upright)


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_the_head_says_the_shape(suffix, orientation, tmp_path):
    """Pillow swaps the sides of a TIFF as it opens it, those of others not."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(tmp_path / f"x.{suffix}", Image.fromarray(levels()), exif=exif)
    head, read = images.read_head(path), images.load_picture(path)
    assert head.shape == read.pixels.shape == ((24, 32, 3) if orientation < 5 else (32, 24, 3))
    assert not head.has_alpha
    assert read.alpha is None


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "I;16", "CMYK"])
def test_the_head_says_whether_there_is_alpha(mode, tmp_path):
    """In every format that Pillow writes it to, with a transparent colour too."""
    image = Image.fromarray(levels()).convert({"PA": "P", "I;16": "L"}.get(mode, mode)).convert(mode)
    written = 0
    for suffix in ("png", "tif", "gif", "webp", "jpg"):
        for options in ({}, {"transparency": (0, 0, 0) if mode == "RGB" else 0}):
            path = tmp_path / f"x.{suffix}"
            with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
                image.save(path, **options)
                written += 1
                assert images.read_head(path).has_alpha == (images.load_picture(path).alpha is not None)
    assert written >= 2


def test_grey_palette_and_bilevel(tmp_path):
    grey = levels()[..., 0]
    loaded = load_image(saved(tmp_path / "l.png", Image.fromarray(grey)))
    np.testing.assert_array_equal(images.quantize(loaded), np.repeat(grey[..., None], 3, axis=-1))
    paletted = Image.fromarray(levels()).convert("P", palette=Image.Palette.ADAPTIVE)
    loaded = load_image(saved(tmp_path / "p.png", paletted))
    np.testing.assert_array_equal(images.quantize(loaded), np.asarray(paletted.convert("RGB")))
    loaded = load_image(saved(tmp_path / "1.png", Image.fromarray(grey > 128)))
    assert set(np.unique(loaded)) == {0, 1}


def test_alpha_is_composited_on_white_or_kept_apart(tmp_path):
    rgba = np.zeros((4, 3, 4), np.uint8)
    rgba[..., 0], rgba[..., 3] = 255, np.array([0, 51, 255])[None]
    path = saved(tmp_path / "x.png", Image.fromarray(rgba))
    np.testing.assert_allclose(load_image(path)[0], [[1, 1, 1], [1, 0.8, 0.8], [1, 0, 0]], atol=1e-6)
    pixels, alpha = images.load_picture(path)
    assert alpha is not None
    np.testing.assert_allclose(alpha[0], [0, 0.2, 1], atol=1e-6)
    np.testing.assert_allclose(pixels[0, 1], [1, 0, 0])


def test_grey_alpha_and_palette_transparency(tmp_path):
    la = Image.fromarray(np.full((4, 4, 2), [100, 0], np.uint8), mode=None)
    np.testing.assert_allclose(load_image(saved(tmp_path / "la.png", la)), 1)
    paletted = Image.new("P", (4, 4), 0)
    paletted.putpalette([255, 0, 0, 0, 255, 0])
    paletted.putpixel((1, 1), 1)
    path = saved(tmp_path / "p.png", paletted, transparency=0)
    loaded = load_image(path)
    np.testing.assert_allclose(loaded[0, 0], 1)
    np.testing.assert_allclose(loaded[1, 1], [0, 1, 0])
    grey = saved(tmp_path / "l.png", Image.new("L", (4, 4), 9), transparency=9)
    np.testing.assert_allclose(load_image(grey), 1)


def test_transparent_colours_do_not_bleed_when_resized(tmp_path):
    rgba = np.zeros((32, 32, 4), np.uint8)
    rgba[:, :16] = [255, 0, 0, 255]
    rgba[:, 16:] = [0, 255, 0, 0]  # green that nobody sees
    pixels, alpha = images.load_picture(saved(tmp_path / "x.png", Image.fromarray(rgba)), 8)
    assert alpha is not None
    assert pixels[alpha > 0.05][:, 1].max() < 0.01


def test_cmyk(tmp_path):
    image = Image.fromarray(levels()).convert("CMYK")
    loaded = load_image(saved(tmp_path / "x.tif", image))
    np.testing.assert_allclose(loaded, np.asarray(image.convert("RGB")) / 255, atol=1e-6)
    assert load_image(saved(tmp_path / "x.jpg", image)).shape == (24, 32, 3)


def test_deep_grey_keeps_its_depth(tmp_path):
    grey = np.linspace(0, 65535, 24 * 32).reshape(24, 32).astype(np.uint16)
    for name in ("x.png", "x.tif"):
        loaded = load_image(saved(tmp_path / name, Image.fromarray(grey)))
        np.testing.assert_allclose(loaded[..., 1], grey / 65535, atol=1e-6)
        assert len(np.unique(loaded)) > 700


def deep_png(pixels):
    """A 16-bit RGB PNG by hand: Pillow writes none."""
    import struct
    import zlib

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    h, w, _ = pixels.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", w, h, 16, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def test_deep_colour_is_read_and_its_loss_said(tmp_path):
    deep = np.random.default_rng(0).integers(0, 65536, (9, 11, 3)).astype(np.uint16)
    (tmp_path / "x.png").write_bytes(deep_png(deep))
    tifffile.imwrite(tmp_path / "x.tif", deep, photometric="rgb")
    for name in ("x.png", "x.tif"):
        with pytest.warns(UserWarning, match="16 bits a channel, of which 8 are read"):
            loaded = load_image(tmp_path / name)
        np.testing.assert_allclose(loaded, deep / 65535, atol=1 / 255)


def profile(name):
    return ImageCms.ImageCmsProfile(ImageCms.createProfile(name)).tobytes()


def test_an_embedded_profile_is_converted(tmp_path):
    pixels = levels()
    plain = saved(tmp_path / "srgb.png", Image.fromarray(pixels), icc_profile=profile("sRGB"))
    assert np.abs(images.quantize(load_image(plain)).astype(int) - pixels).max() <= 1
    # A profile with red and blue exchanged: the three colorants of an sRGB profile, swapped in its table.
    swapped = bytearray(profile("sRGB"))
    red, blue = swapped.index(b"rXYZ"), swapped.index(b"bXYZ")
    swapped[red : red + 4], swapped[blue : blue + 4] = b"bXYZ", b"rXYZ"
    path = saved(tmp_path / "swapped.png", Image.fromarray(pixels), icc_profile=bytes(swapped))
    difference = images.quantize(load_image(path)).astype(int) - pixels[..., ::-1]
    assert np.abs(difference).max() <= 2
    broken = saved(tmp_path / "broken.png", Image.fromarray(pixels), icc_profile=b"no profile at all")
    np.testing.assert_array_equal(images.quantize(load_image(broken)), pixels)


def test_a_profile_of_deep_grey_is_converted(tmp_path):
    # Grey with a gamma of 1.0: half of the light is 188 of 255 in sRGB.
    linear = linear_grey_profile()
    grey = np.full((4, 4), 32768, np.uint16)
    path = tmp_path / "x.tif"
    Image.fromarray(grey).save(path, icc_profile=linear)
    np.testing.assert_allclose(load_image(path), 188 / 255, atol=0.01)
    eight = saved(tmp_path / "x.png", Image.new("L", (4, 4), 128), icc_profile=linear)
    np.testing.assert_allclose(load_image(eight), 188 / 255, atol=0.01)


def linear_grey_profile():
    """A smallest version 2 profile: white point, black point of no use, a linear curve."""
    import struct

    def tag(kind, data):
        return kind + bytes(4) + data

    tags = {
        b"desc": tag(b"desc", struct.pack(">I", 7) + b"linear\0" + bytes(78)),
        b"cprt": tag(b"text", b"none\0"),
        b"wtpt": tag(b"XYZ ", struct.pack(">iii", 63190, 65536, 54061)),
        b"kTRC": tag(b"curv", struct.pack(">I", 0)),
    }
    table, data, offset = struct.pack(">I", len(tags)), b"", 128 + 4 + 12 * len(tags)
    for name, value in tags.items():
        value += bytes(-len(value) % 4)
        table += name + struct.pack(">II", offset + len(data), len(value))
        data += value
    size = offset + len(data)
    head = struct.pack(">I4sI4s4s4s", size, b"lcms", 0x02400000, b"mntr", b"GRAY", b"XYZ ")
    head += bytes(12) + b"acsp" + bytes(28) + struct.pack(">iii", 63190, 65536, 54061)
    return head.ljust(128, b"\0") + table + data


# Size.


@pytest.mark.parametrize(
    ("shape", "size", "expected"),
    [((300, 451), 512, (341, 512)), ((10, 5), 20, (20, 10)), ((1000, 1), 10, (10, 1)), ((7, 7), 7, (7, 7))],
)
def test_fit_size_keeps_proportions(shape, size, expected):
    assert images.fit_size(shape, size) == expected


def test_resize_is_lanczos_in_float_and_antialiased():
    fine = (np.indices((64, 64)).sum(axis=0) % 2).astype(np.float32)
    board = np.repeat(fine[..., None], 3, axis=-1)
    np.testing.assert_allclose(images.resize(board, (8, 8))[2:-2, 2:-2], 0.5, atol=0.02)
    ramp = np.repeat(np.linspace(0, 1, 40, dtype=np.float32)[None, :, None], 3, axis=-1).repeat(5, axis=0)
    assert len(np.unique(images.resize(ramp, (5, 400)))) > 256
    assert images.resize(ramp, (5, 40)) is ramp
    step = np.repeat((np.arange(20) > 9).astype(np.float32)[None, :, None], 3, axis=-1).repeat(9, axis=0)
    enlarged = images.resize(step, (9, 80))
    assert (enlarged.min(), enlarged.max()) == (0, 1)  # Lanczos overshoots; pixels do not


def test_load_image_resizes_the_longer_side(tmp_path):
    path = saved(tmp_path / "x.png", Image.fromarray(levels(24, 32)))
    assert load_image(path, 64).shape == (48, 64, 3)
    assert load_image(path, 16).shape == (12, 16, 3)


@pytest.mark.parametrize("shape", [(20, 30), (40, 10), (24, 32)])
def test_cover_keeps_proportions_and_the_centre(shape):
    pixels = np.zeros((24, 32, 3), np.float32)
    pixels[10:14, 14:18] = 1
    covered = images.cover(pixels, shape)
    assert covered.shape == (*shape, 3)
    y, x = (np.average(np.indices(shape)[axis], weights=covered[..., 0]) for axis in (0, 1))
    assert (y, x) == pytest.approx(((shape[0] - 1) / 2, (shape[1] - 1) / 2), abs=0.6)


# Bad input.


def test_what_is_no_image_gets_one_sentence(tmp_path):
    cases = {
        "none.jpg": (None, "no such image file"),
        "zero.png": (b"", "is not a JPEG, PNG"),
        "text.jpg": (b"Dear Sir, this is a letter.\n" * 50, "is not a JPEG, PNG"),
    }
    for name, (content, message) in cases.items():
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(ImageError, match=message) as error:
            load_image(tmp_path / name)
        assert name in str(error.value)
        assert "\n" not in str(error.value)
    with pytest.raises(ImageError, match="is a folder"):
        load_image(tmp_path)


def test_a_decompression_bomb_is_refused(tmp_path, monkeypatch):
    path = saved(tmp_path / "x.png", Image.new("L", (200, 200)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10_000)
    with pytest.raises(ImageError, match="too many pixels"):
        load_image(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 30_000)  # large, but no bomb
    assert load_image(path).shape == (200, 200, 3)


def test_formats_that_run_programs_are_not_opened(tmp_path):
    path = tmp_path / "x.png"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    with pytest.raises(ImageError, match="is not a JPEG"):
        load_image(path)


def encoded(suffix):
    file = BytesIO()
    form = {"jpg": "JPEG", "tif": "TIFF"}.get(suffix, suffix.upper())
    Image.fromarray(levels(40, 40)).save(file, format=form)
    return file.getvalue()


ENCODED = {suffix: encoded(suffix) for suffix in SUFFIXES}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    suffix=st.sampled_from(SUFFIXES), share=st.floats(0, 0.999), flips=st.lists(st.floats(0, 1), max_size=3)
)
def test_damaged_bytes_give_a_picture_or_one_sentence(tmp_path, suffix, share, flips):
    data = bytearray(ENCODED[suffix][: int(len(ENCODED[suffix]) * share)])
    for place in flips:
        if data:
            data[int(place * (len(data) - 1))] ^= 0x55
    path = tmp_path / f"x.{suffix}"
    path.write_bytes(data)
    try:
        loaded = load_image(path)
    except ImageError as error:
        assert str(path) in str(error)  # noqa: PT017
        assert "\n" not in str(error)  # noqa: PT017
    else:
        assert loaded.ndim == 3
        assert np.isfinite(loaded).all()
        assert 0 <= loaded.min() <= loaded.max() <= 1


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif"])
def test_half_a_file_is_an_error(suffix, tmp_path):
    path = tmp_path / f"x.{suffix}"
    path.write_bytes(ENCODED[suffix][: len(ENCODED[suffix]) // 2])
    with pytest.raises(ImageError, match="damaged"):
        load_image(path)


# Out.


@pytest.mark.parametrize("suffix", ["png", "jpg", "jpeg", "webp", "tif", "tiff"])
def test_what_is_saved_is_read_again(suffix, tmp_path):
    pixels, path = picture(24, 32), tmp_path / f"x.{suffix}"
    save_image(path, pixels, settings={"seed": 3, "name": "Öl"})
    tolerance = 0.5 / 255 + 1e-6 if suffix in ("png", "tif", "tiff") else 0.1
    np.testing.assert_allclose(load_image(path), pixels, atol=tolerance)
    assert images.load_settings(path) == {"seed": 3, "name": "Öl"}
    with Image.open(path) as image:
        name = ImageCms.getProfileName(ImageCms.ImageCmsProfile(BytesIO(image.info["icc_profile"])))
    assert "sRGB" in name


def test_levels_are_rounded_not_truncated(tmp_path):
    pixels = np.full((2, 2, 3), 99.6 / 255, np.float32)
    pixels[0] = [[-0.5] * 3, [1.5] * 3]
    save_image(tmp_path / "x.png", pixels)
    with Image.open(tmp_path / "x.png") as image:
        np.testing.assert_array_equal(np.asarray(image)[..., 0], [[0, 255], [100, 100]])


def test_jpeg_is_444_of_quality_95(tmp_path):
    save_image(tmp_path / "x.jpg", picture(32, 32))
    with Image.open(tmp_path / "x.jpg") as image:
        assert isinstance(image, Image.Image)
        assert [component[1:3] for component in getattr(image, "layer")] == [(1, 1)] * 3  # noqa: B009
        reference = BytesIO()
        Image.new("RGB", (8, 8)).save(reference, format="JPEG", quality=95)
        reference.seek(0)
        with Image.open(reference) as other:
            assert getattr(image, "quantization") == getattr(other, "quantization")  # noqa: B009


@pytest.mark.parametrize("suffix", ["png", "webp", "tif", "jpg"])
def test_alpha_is_written_where_the_format_has_it(suffix, tmp_path):
    alpha = np.tile(np.linspace(0, 1, 32, dtype=np.float32), (24, 1))
    save_image(tmp_path / f"x.{suffix}", picture(24, 32), alpha=alpha)
    read = images.load_picture(tmp_path / f"x.{suffix}").alpha
    if suffix == "jpg":
        assert read is None
        np.testing.assert_allclose(load_image(tmp_path / "x.jpg")[:, 0], 1, atol=0.03)
    else:
        assert read is not None
        np.testing.assert_allclose(read, alpha, atol=0.003)


def test_the_same_picture_is_the_same_file(tmp_path, monkeypatch):
    files = []
    for name in ("a.png", "b.png"):
        images._srgb_profile.cache_clear()
        save_image(tmp_path / name, picture(8, 8), settings={"a": 1})
        files.append((tmp_path / name).read_bytes())
        time.sleep(1.1)  # a profile says when it was made, to the second
    assert files[0] == files[1]


def test_places_that_cannot_be_written(tmp_path):
    for path, message in (
        (tmp_path / "x.gif", "end its name in .png"),
        (tmp_path / "x", "end its name in .png"),
        (tmp_path / "none" / "x.png", "cannot be written there"),
    ):
        for attempt in (images.check_writable, lambda path: save_image(path, picture(4, 4))):
            with pytest.raises(FileError, match=message):
                attempt(path)
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(FileError, match="is a folder"):
        images.check_writable(tmp_path / "folder.png")
    assert [path.name for path in tmp_path.iterdir()] == ["folder.png"]


def test_checking_leaves_nothing_and_keeps_what_is_there(tmp_path):
    images.check_writable(tmp_path / "new.png")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "old.png").write_bytes(b"precious")
    images.check_writable(tmp_path / "old.png")
    assert (tmp_path / "old.png").read_bytes() == b"precious"


def test_a_failed_write_keeps_the_old_file_and_leaves_no_other(tmp_path, monkeypatch):
    path = tmp_path / "x.png"
    path.write_bytes(b"precious")

    def full_disk(self, file, **options):
        del self, options
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full_disk)
    with pytest.raises(FileError, match="No space left on device"):
        save_image(path, picture(4, 4))
    assert path.read_bytes() == b"precious"
    assert [file.name for file in tmp_path.iterdir()] == ["x.png"]


def test_permissions_are_the_usual_ones(tmp_path):
    save_image(tmp_path / "x.png", picture(4, 4))
    (tmp_path / "y").touch()
    assert stat.S_IMODE(os.stat(tmp_path / "x.png").st_mode) == stat.S_IMODE(
        os.stat(tmp_path / "y").st_mode
    )


def test_a_link_is_written_through(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "x.png").symlink_to(tmp_path / "real" / "x.png")
    save_image(tmp_path / "x.png", picture(4, 4))
    assert (tmp_path / "x.png").is_symlink()
    assert (tmp_path / "real" / "x.png").is_file()


WRITER = """
import sys, numpy as np
from jax_nst.images.files import save_image
pixels = np.random.default_rng(0).random((700, 700, 3), dtype=np.float32)
print("ready", flush=True)
while True:
    save_image(sys.argv[1], pixels)
"""


def test_a_kill_during_the_write_leaves_no_half_file(tmp_path):
    path = tmp_path / "x.png"
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    for delay in (0.03, 0.2, 0.31):  # the file is looked at while it is written again and again
        time.sleep(delay)
        if path.exists():
            assert load_image(path).shape == (700, 700, 3)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert not path.exists() or load_image(path).shape == (700, 700, 3)
