import dataclasses
import json

from jax_nst.sweeps.card import Card


def test_card_survives_json():
    """The page embeds its fields as JSON."""
    card = Card({"seed": "1"}, "seed=1.png", {"total_loss": 2.5}, "ok", 1.5, [3.0, 2.5], ["content 0"])
    assert Card(**json.loads(json.dumps(dataclasses.asdict(card)))) == card
