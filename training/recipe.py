"""A recipe: every number that determines the result of a training, in a TOML file."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence, Set
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from catalog.errors import InvalidInput
from encoders.towers.backbones import STRIDE, TEXT_LAYERS
from encoders.towers.single_stream import TowerShape

T = TypeVar("T")
_LOSSES = ("am_softmax", "softmax", "sigmoid")
_PRECISIONS = ("bf16", "fp16", "fp32")
_TASKS = (
    "qic", "qic_photo", "photo_item_contrast", "mlm", "mpm", "mpm_r_patch", "mpm_r_image", "qim", "qim2",
    "text_distillation",
)  # fmt: skip
_ON_TOKENS = ("mlm", "mpm", "mpm_r_patch", "mpm_r_image", "qim", "qim2")
_RENAMED = {
    "data": {"ask_title": "title_query_share"},
    "tasks": {"alike": "photo_item_contrast", "meaning": "text_distillation", "both_ways": "symmetric"},
    "optim": {"rate": "learning_rate", "backbone_rate": "backbone_learning_rate"},
}
"""Former keys by section. A recipe that uses one is refused; a checkpoint that holds one still loads."""

RECIPES = Path(__file__).parent / "recipes"


@dataclass(frozen=True, slots=True)
class DataConfig:
    """Catalogues and one query log for each: a file, or a pattern of files such as `log-*.parquet`.

    Products are split by brand, title and photo, so that no validation or test product is trained on.
    """

    catalogues: tuple[str, ...] = ()
    logs: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    """FIELD=COLUMN for each column of the log with another name. FIELD is query, item or weight."""

    validation: float = 0.1
    test: float = 0.1
    split_seed: int = 0
    popularity: float = 0.5
    """An interaction is drawn in proportion to its weight to this power: 0 is uniform, 1 follows the log."""

    title_query_share: float = 0.2
    """The share of drawn queries that are the product's own title, whether or not the log has it."""

    plain_texts: int = 12_000
    """Words and word pairs of the tokenizer, with which `text_distillation` keeps what the text backbone knows."""

    hide_title: float = 0.05
    hide_photo: float = 0.1
    """The shares of products that the towers read without their title, and without their photos."""

    cut_title: float = 0.0
    """The share of products that the towers read with about half of their title's words."""


@dataclass(frozen=True, slots=True)
class TaskWeights:
    """The weight of each task's loss. A task of weight 0 is left out."""

    qic: float = 1.0
    """Query-item contrast on whole products."""

    qic_photo: float = 0.5
    """The same contrast on photos alone, which trains the `image` vector."""

    photo_item_contrast: float = 0.0
    """The contrast of each photo with all products, so that a photo can be a query."""

    mlm: float = 0.0
    mpm: float = 0.0
    mpm_r_patch: float = 0.0
    mpm_r_image: float = 0.0
    qim: float = 0.0
    qim2: float = 0.0
    text_distillation: float = 0.0
    loss: str = "am_softmax"
    """The loss of both query contrasts: am_softmax, softmax or sigmoid."""

    scale: float = 20.0
    margin: float = 0.1
    symmetric: bool = True
    """Contrast items with queries too, not only queries with items."""

    nested: tuple[int, ...] = (128, 64)
    """Prefix lengths of a vector that are also trained to be vectors (Matryoshka)."""

    masked: int = 128
    """Products (and queries) of a batch that are read again with parts hidden, for MLM, MPM and MPM_R."""

    mask_tokens: float = 0.15
    mask_cells: float = 0.3
    matched: int = 128
    """Pairs of a batch that the cross-modal encoder of QIM and QIM2 scores, each with two negatives."""

    match_layers: int = 1
    patch_temperature: float = 0.1
    plain: int = 256
    """Texts of a step for `text_distillation`."""


@dataclass(frozen=True, slots=True)
class NegativesConfig:
    """Sources of negatives in addition to the process's own batch."""

    across: bool = True
    """CDNS: the batches of all processes, with gradient. No effect in one process."""

    bank: int = 0
    """MBNS: the number of item vectors kept from past steps, without gradient."""

    bank_after: int = 200
    """Steps before the bank is used. Early on, the towers move too fast for old vectors to represent new ones."""

    bank_momentum: bool = False
    """Fill the bank by the moving average of the towers (see `optim.ema`) instead of the towers."""


@dataclass(frozen=True, slots=True)
class OptimConfig:
    """The optimizer and its schedule. `batch` is per process."""

    steps: int = 2000
    batch: int = 512
    chunk: int = 0
    """Gradient caching: products that go through the towers with gradient at a time; 0 for the whole batch at once."""

    accumulate: int = 1
    """Batches whose mean gradient makes one step. Each has negatives of its own."""

    learning_rate: float = 1e-3
    backbone_learning_rate: float = 0.05
    """The learning rate of trained backbone layers, as a share of `learning_rate`."""

    decay: float = 0.01
    warmup: int = 100
    clip: float = 1.0
    ema: float = 0.0
    """The decay of a moving average of the weights, which is then validated and served; 0 for no average."""

    precision: str = "bf16"
    """The precision of forward passes: bf16, fp16 or fp32."""

    validate_every: int = 200
    validate_queries: int = 1000
    patience: int = 5
    """Validations without a better recall@10 after which training ends; 0 disables this."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """A complete recipe. `liveshelf train RECIPE --set optim.steps=100` changes one value."""

    seed: int = 0
    towers: TowerShape = field(default_factory=TowerShape)
    data: DataConfig = field(default_factory=DataConfig)
    tasks: TaskWeights = field(default_factory=TaskWeights)
    negatives: NegativesConfig = field(default_factory=NegativesConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)

    def json(self) -> str:
        return json.dumps(asdict(self), indent=1, sort_keys=True)


def load(name: str, changes: Sequence[str] = ()) -> Recipe:
    """Load a .toml file, or a shipped recipe by its name, with `section.key=value` changes. Raises InvalidInput."""
    path = Path(name) if name.endswith(".toml") else RECIPES / f"{name}.toml"
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as err:
        shipped = ", ".join(sorted(file.stem for file in RECIPES.glob("*.toml")))
        raise InvalidInput(f"There is no recipe {name!r}: name a .toml file, or one of {shipped}.") from err
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as err:
        raise InvalidInput(f"The recipe {path} is not TOML: {err}.") from err
    return checked(changed(_with_values(Recipe(), values, str(path)), changes))


def checked(recipe: Recipe) -> Recipe:
    """Return the recipe. Raises InvalidInput if its values contradict each other."""
    problems = {
        "tasks.loss must be am_softmax, softmax or sigmoid": recipe.tasks.loss not in _LOSSES,
        "optim.precision must be bf16, fp16 or fp32": recipe.optim.precision not in _PRECISIONS,
        "negatives.bank_momentum needs a moving average: set optim.ema": (
            recipe.negatives.bank_momentum and not recipe.optim.ema
        ),
        "towers.photo_side must be a multiple of 32": recipe.towers.photo_side % STRIDE != 0,
        "towers.width must be a multiple of towers.heads": recipe.towers.width % recipe.towers.heads != 0,
        "towers.dim and each of tasks.nested must be at most towers.width": (
            max(recipe.towers.dim, *recipe.tasks.nested, 0) > recipe.towers.width
        ),
        f"towers.text_layers must be 0 to {TEXT_LAYERS}": not 0 <= recipe.towers.text_layers <= TEXT_LAYERS,
        "towers.late has no tokens: remove mlm, mpm, mpm_r_patch, mpm_r_image, qim and qim2": (
            recipe.towers.late and any(weight for name in _ON_TOKENS if (weight := getattr(recipe.tasks, name)))
        ),
        "tasks has no weight above 0": not any(getattr(recipe.tasks, name) for name in _TASKS),
        "optim.batch must be at least 2, optim.steps and optim.validate_every at least 1": (
            recipe.optim.batch < 2 or min(recipe.optim.steps, recipe.optim.validate_every) < 1
        ),
    }
    for sentence, applies in problems.items():
        if applies:
            raise InvalidInput(f"The recipe: {sentence}.")
    return recipe


def changed(recipe: Recipe, changes: Sequence[str]) -> Recipe:
    """Apply `section.key=value` changes. Values are TOML, or a bare word for text. Raises InvalidInput."""
    for change in changes:
        name, equals, text = change.partition("=")
        if not equals:
            raise InvalidInput(f"{change!r} has no value: write --set section.key=value.")
        *section, key = name.strip().split(".")
        tree: dict[str, Any] = {key: _value(text.strip())}
        for name in reversed(section):
            tree = {name: tree}
        recipe = _with_values(recipe, tree, f"--set {change}")
    return recipe


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def with_current_keys(saved: Mapping[str, Any]) -> dict[str, Any]:
    """A saved recipe, as `Recipe.json` wrote it, with former keys replaced by current ones."""
    return {
        section: {_RENAMED.get(section, {}).get(key, key): value for key, value in values.items()}
        if isinstance(values, Mapping)
        else values
        for section, values in saved.items()
    }


def _with_values(base: T, values: Mapping[str, Any], where: str) -> T:
    """`base`, a dataclass, with these values. Raises InvalidInput for an unknown key or a value of another type."""
    start: Any = base
    keys = {field.name for field in fields(start)}
    if unknown := sorted(values.keys() - keys):
        raise InvalidInput(f"{where}: there is no {unknown[0]!r}: {_suggestion(unknown[0], keys)}")
    types = get_type_hints(type(start))
    checked_values = {
        name: _checked_value(getattr(start, name), value, types[name], f"{where}: {name}")
        for name, value in values.items()
    }
    result: T = replace(start, **checked_values)
    return result


def _suggestion(unknown: str, keys: Set[str]) -> str:
    renamed = [new for section in _RENAMED.values() for old, new in section.items() if old == unknown and new in keys]
    if close := renamed or get_close_matches(unknown, sorted(keys), n=1):
        return f"did you mean {close[0]!r}?"
    return f"use one of {', '.join(sorted(keys))}."


def _checked_value(old: Any, new: Any, expected: Any, where: str) -> Any:
    if is_dataclass(expected) and isinstance(new, Mapping):
        return _with_values(old, new, where)
    if isinstance(new, list) and isinstance(old, tuple):
        new = tuple(new)
    elif isinstance(old, tuple) and isinstance(new, str | int):
        new = (new,)
    elif isinstance(old, float) and type(new) is int:
        new = float(new)
    if type(new) is not type(old):
        raise InvalidInput(f"{where} is {new!r}: it must be a value like {old!r}.")
    return new
