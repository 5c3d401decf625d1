"""How the synthetic shopper words what it asks for: other words for the same thing, other orders, slips of the hand.

The synonyms are of this project's own writing, for the kinds of attributes that clothing and household shops have. Only
made-up queries are worded with them; serving knows none of them.
"""

from __future__ import annotations

from collections.abc import Set

import numpy as np

from evaluation.bm25 import words

SYNONYMS: dict[str, tuple[str, ...]] = {
    "tshirts": ("tee", "t-shirt", "t shirt"),
    "t-shirt": ("tee", "tshirt", "t shirt"),
    "trousers": ("pants", "slacks"),
    "track pants": ("joggers", "tracksuit bottoms"),
    "sweatshirts": ("sweater", "jumper"),
    "sweaters": ("jumper", "pullover"),
    "jackets": ("coat",),
    "casual shoes": ("sneakers", "everyday shoes"),
    "sports shoes": ("trainers", "running shoes"),
    "formal shoes": ("dress shoes", "office shoes"),
    "flip flops": ("thongs", "beach slippers"),
    "heels": ("high heels", "pumps"),
    "flats": ("ballerinas", "flat shoes"),
    "handbags": ("purse", "ladies bag"),
    "backpacks": ("rucksack", "school bag"),
    "backpack": ("rucksack", "daypack"),
    "wallets": ("billfold", "purse for cards"),
    "sunglasses": ("shades",),
    "glasses": ("eyewear", "spectacles"),
    "watches": ("wristwatch", "timepiece"),
    "watch": ("wristwatch", "timepiece"),
    "caps": ("baseball cap",),
    "briefs": ("underpants",),
    "innerwear vests": ("undershirt",),
    "bra": ("brassiere",),
    "nightdress": ("nightgown", "nightie"),
    "night suits": ("pyjamas", "sleepwear"),
    "perfume and body mist": ("fragrance", "scent"),
    "deodorant": ("deo", "body spray"),
    "lipstick": ("lip colour",),
    "nail polish": ("nail varnish",),
    "ring": ("finger ring",),
    "earrings": ("ear studs",),
    "bracelet": ("bangle",),
    "mug": ("cup", "beaker"),
    "bowl": ("dish",),
    "teapot": ("tea pot",),
    "bottle": ("flask",),
    "lamp": ("light",),
    "cushion": ("throw pillow", "pillow"),
    "plant pot": ("planter", "flowerpot"),
    "umbrella": ("brolly",),
    "bag": ("handbag", "tote"),
    "shoe": ("footwear",),
    "navy blue": ("navy", "dark blue"),
    "navy": ("dark blue", "navy blue"),
    "grey": ("gray", "ash"),
    "purple": ("violet",),
    "beige": ("sand", "cream coloured"),
    "brown": ("tan", "chocolate"),
    "maroon": ("dark red", "burgundy"),
    "multi": ("multicoloured", "colourful"),
    "mint": ("light green",),
    "teal": ("petrol",),
    "plain": ("solid", "unpatterned"),
    "striped": ("stripes", "stripy"),
    "dotted": ("polka dot", "spotted"),
    "checked": ("plaid", "gingham"),
    "floral": ("flowery", "flowers"),
    "zigzag": ("chevron",),
    "men": ("mens", "for men", "gents"),
    "women": ("womens", "for women", "ladies"),
    "boys": ("for boys", "boy"),
    "girls": ("for girls", "girl"),
    "sports": ("sporty", "gym"),
    "formal": ("office", "business"),
    "ethnic": ("traditional",),
}  # fmt: skip

_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_NEAR = {row[i]: row[max(i - 1, 0) : i] + row[i + 1 : i + 2] for row in _ROWS for i in range(len(row))}
"""For each letter the keys beside it."""

_LONG_ENOUGH = 5


def usable(values: Set[str]) -> dict[str, tuple[str, ...]]:
    """The synonyms of these values of a catalogue, without those that are another value there: tan is not brown."""
    plain = {tuple(words(value)) for value in values}
    return {
        value: others
        for value in values & SYNONYMS.keys()
        if (others := tuple(name for name in SYNONYMS[value] if tuple(words(name)) not in plain))
    }


def misspelt(text: str, draw: np.random.Generator) -> str:
    """The text with one slip in one of its longer words; as it is where all are short."""
    said = text.split(" ")
    long = [i for i, word in enumerate(said) if len(word) >= _LONG_ENOUGH and word.isascii() and word.isalpha()]
    if not long:
        return text
    at = long[draw.integers(len(long))]
    said[at] = _slip(said[at], draw)
    return " ".join(said)


def _slip(word: str, draw: np.random.Generator) -> str:
    """Two letters swapped, one lost, doubled or hit beside; never the first, which people get right."""
    i = int(draw.integers(1, len(word) - 1))
    kind = draw.integers(4)
    if kind == 0 and word[i] != word[i + 1]:
        return word[:i] + word[i + 1] + word[i] + word[i + 2 :]
    if kind == 1 and word[i] != word[i - 1]:
        return word[:i] + word[i + 1 :]
    if kind == 2:
        near = _NEAR[word[i]]
        return word[:i] + near[draw.integers(len(near))] + word[i + 1 :]
    return word[:i] + word[i] + word[i:]


def cut_short(text: str, draw: np.random.Generator) -> str:
    """The text as it stands while its last word is still being typed; as it is where that word is short."""
    head, _, last = text.rpartition(" ")
    if len(last) < _LONG_ENOUGH:
        return text
    kept = last[: int(draw.integers(3, len(last) - 1))]
    return f"{head} {kept}" if head else kept
