import dataclasses
import json

from jax_nst.sweeps.card import Card, axes_of, input_of


def card(item, **labels):
    return Card(item, labels, f"{item}.png", {}, "ok", 1.5, [], ["content 0", f"style {item}"])


def test_card_survives_json():
    """The page embeds its fields as JSON."""
    fields = json.loads(json.dumps(dataclasses.asdict(card(3, seed="1"))))
    assert fields["labels"] == {"seed": "1"}
    assert (fields["item"], fields["inputs"]) == (3, ["content 0", "style 3"])


def test_the_title_of_a_card_is_what_varies_or_its_file():
    assert card(0, style="wave", seed="1").title == "style=wave, seed=1"
    assert card(0).title == "0.png"


def test_axes_have_their_labels_in_order_of_appearance():
    cards = [
        card(0, style="wave", seed="2"),
        card(1, style="night", seed="1"),
        card(2, style="wave", seed="1"),
    ]
    assert axes_of(cards) == {"style": ["wave", "night"], "seed": ["2", "1"]}
    assert axes_of([]) == {}


def test_a_label_of_a_content_or_style_names_its_input():
    cards = [card(0, style="wave", seed="1"), card(1, style="night", seed="1")]
    assert input_of(cards, "style", "night") == "style 1"
    assert input_of(cards, "seed", "1") is None
    assert input_of(cards, "style", "none of them") is None
