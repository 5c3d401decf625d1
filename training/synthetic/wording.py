"""How synthetic shoppers word their queries: synonyms, misspellings and unfinished words.

The synonyms were written for this project and cover attributes of clothing and household shops. Only synthetic queries
use them; the search service does not.
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
_ADJACENT_KEYS = {row[i]: row[max(i - 1, 0) : i] + row[i + 1 : i + 2] for row in _ROWS for i in range(len(row))}
"""For each letter the keys next to it."""

_MIN_LETTERS = 5


def usable(values: Set[str]) -> dict[str, tuple[str, ...]]:
    """The synonyms of a catalogue's values, except synonyms that are another of its values: tan is not brown."""
    value_words = {tuple(words(value)) for value in values}
    return {
        value: others
        for value in values & SYNONYMS.keys()
        if (others := tuple(name for name in SYNONYMS[value] if tuple(words(name)) not in value_words))
    }


def misspelt(text: str, rng: np.random.Generator) -> str:
    """The text with one typing error in one of its longer words, or unchanged if all are short."""
    typed = text.split(" ")
    long = [i for i, word in enumerate(typed) if len(word) >= _MIN_LETTERS and word.isascii() and word.isalpha()]
    if not long:
        return text
    at = long[rng.integers(len(long))]
    typed[at] = _with_typo(typed[at], rng)
    return " ".join(typed)


def _with_typo(word: str, rng: np.random.Generator) -> str:
    """Two letters swapped, or one lost, doubled or replaced by an adjacent key; never the first letter."""
    i = int(rng.integers(1, len(word) - 1))
    kind = rng.integers(4)
    if kind == 0 and word[i] != word[i + 1]:
        return word[:i] + word[i + 1] + word[i] + word[i + 2 :]
    if kind == 1 and word[i] != word[i - 1]:
        return word[:i] + word[i + 1 :]
    if kind == 2:
        adjacent = _ADJACENT_KEYS[word[i]]
        return word[:i] + adjacent[rng.integers(len(adjacent))] + word[i + 1 :]
    return word[:i] + word[i] + word[i:]


def cut_short(text: str, rng: np.random.Generator) -> str:
    """The text while its last word is still being typed, or unchanged if that word is short."""
    head, _, last = text.rpartition(" ")
    if len(last) < _MIN_LETTERS:
        return text
    typed = last[: int(rng.integers(3, len(last) - 1))]
    return f"{head} {typed}" if head else typed
