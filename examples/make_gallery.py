"""Paints the gallery of the documentation: one photograph, each control by its command line.

    python examples/make_gallery.py                    # all pictures, into docs/images/gallery
    python examples/make_gallery.py cat-only together  # some of them

All with the bundled network and the files beside this script. `docs/gallery.md` shows them.
"""

import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs" / "images" / "gallery"
PAIR = "--content examples/cat.jpg --style examples/cypresses.jpg"
WAVES = "--content examples/cat.jpg --style examples/waves.jpg"
USUAL = "--features vgg19-lite"


class Entry(NamedTuple):
    """A picture of the gallery."""

    section: str
    name: str
    """Of the file."""
    flags: str
    """Beside those of the pair."""
    caption: str
    pair: str = PAIR

    @property
    def command(self) -> str:
        """The command line, without what all of them have."""
        return f"python main.py {self.pair} {self.flags}".strip()


GALLERY = (
    Entry("Start here", "default", "", "The default."),
    Entry("Start here", "waves", "", "Another painting.", WAVES),
    Entry("Losses", "gram", "--style_loss gram", "Gram matrices, as Gatys et al. compared."),
    Entry("Losses", "sliced", "--style_loss sliced", "Sorted projections: whole distributions."),
    Entry("Losses", "moments", "--style_loss moments", "Mean and deviation of each channel."),
    Entry("Losses", "nnfm", "--recipe nnfm", "Each position after the most similar one of the painting."),
    Entry("Losses", "strotss", "--recipe strotss", "The layout of the photograph, its colours free."),
    Entry("Losses", "similarity", "--content_loss self_similarity", "The same for the default style loss."),
    Entry("Regions", "cat-only", "--mask examples/cat_mask.png", "Only the cat is painted."),
    Entry(
        "Regions",
        "two-styles",
        "--mask examples/cat_mask.png,examples/background_mask.png:picture=examples/waves.jpg",
        "The background in a style of its own.",
    ),
    Entry(
        "Regions",
        "labels",
        "--mask examples/cat_labels.png:examples/cypresses_labels.png",
        "Labels: the cat takes the field, the background the sky.",
    ),
    Entry(
        "Regions",
        "fade",
        "--style_weight examples/fade.png",
        "A map of the style weight: from a photograph into a painting.",
    ),
    Entry("Colour", "keep", "--color keep", "The photograph's colours, the painting's strokes."),
    Entry("Colour", "keep-half", "--color keep --color_amount 0.5", "Half of that."),
    Entry("Colour", "match", "--color match", "The painting's colours, moved towards the photograph's."),
    Entry("Strokes", "large", "--style_scale 1.8", "A larger painting makes larger strokes."),
    Entry("Strokes", "small", "--style_scale 0.5", "A smaller one, smaller strokes."),
    Entry("Strokes", "angles", "--style_angle 0,45,90,135", "Strokes in all directions."),
    Entry("Strokes", "noise", "--noise 0.1", "Grain in the photograph, for strokes in its flat areas."),
    Entry("Strokes", "bolder", "--style_weight 5000", "More of the painting."),
    Entry("Strokes", "lighter", "--style_weight 100", "Less of it."),
    Entry(
        "Several paintings",
        "blend",
        "--blend 0.5,0.5",
        "One style of two paintings, by shares.",
        f"{PAIR},examples/waves.jpg",
    ),
    Entry(
        "Together",
        "together",
        "--mask examples/cat_mask.png,examples/background_mask.png:picture=examples/waves.jpg "
        "--color match --color_amount 0.5 --noise 0.05 --style_scale 1.4",
        "Regions, colours matched by half, grain and broad strokes in one run.",
    ),
)


def paint(entry: Entry) -> None:
    """Paints one picture, as JPEG."""
    path = FOLDER / f"{entry.name}.png"
    arguments = [*entry.command.split()[2:], *USUAL.split(), "--quiet", "--output", str(path)]
    subprocess.run([sys.executable, "main.py", *arguments], cwd=ROOT, check=True)
    Image.open(path).convert("RGB").save(path.with_suffix(".jpg"), quality=88, optimize=True)
    path.unlink()


def main() -> None:
    """Paints all, or those that are named."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for entry in GALLERY:
        if entry.name in sys.argv[1:] or len(sys.argv) == 1:
            paint(entry)


if __name__ == "__main__":
    main()
