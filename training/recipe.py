"""A recipe: every number that decides what comes out of a training, in a TOML file a person can read."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from catalog.errors import InvalidInput
from encoders.towers.backbones import STRIDE, TEXT_LAYERS
from encoders.towers.single_stream import TowerShape

T = TypeVar("T")
_LOSSES = ("am_softmax", "softmax", "sigmoid")
_PRECISIONS = ("bf16", "fp16", "fp32")
_TASKS = ("qic", "qic_photo", "alike", "mlm", "mpm", "mpm_r_patch", "mpm_r_image", "qim", "qim2", "meaning")
_ON_TOKENS = ("mlm", "mpm", "mpm_r_patch", "mpm_r_image", "qim", "qim2")
RECIPES = Path(__file__).parent / "recipes"


@dataclass(frozen=True, slots=True)
class DataConfig:
    """Catalogues with a query log each: a file, or a pattern of files such as `log-*.parquet`.

    Products are split by brand, title and photo: nothing of what is validated or tested on is trained on.
    """

    catalogues: tuple[str, ...] = ()
    logs: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    """FIELD=COLUMN for a log whose columns have names of their own: FIELD is query, item or weight."""

    validation: float = 0.1
    test: float = 0.1
    split_seed: int = 0
    popularity: float = 0.5
    """An interaction is drawn in proportion to its weight to this power: 0 for all alike, 1 as the log has them."""

    ask_title: float = 0.2
    """The share of drawn queries that are the product's own title, whether the log has it or not."""

    plain_texts: int = 12_000
    """Words and pairs of words of no shop, by which the `meaning` task keeps what the text backbone knows."""

    hide_title: float = 0.05
    hide_photo: float = 0.1
    """Shares of products that are shown without their title, and without their photos."""

    cut_title: float = 0.0
    """The share of products that are shown with about half of their title's words, so that the photo must help."""


@dataclass(frozen=True, slots=True)
class TaskWeights:
    """The weight of each task's loss; a task of weight 0 is not there."""

    qic: float = 1.0
    """Query-item contrast on whole products."""

    qic_photo: float = 0.5
    """The same on the products' photos alone, which makes the `image` vector."""

    alike: float = 0.0
    """A photo alone is told from all products but its own, so that a photo is a query too."""

    mlm: float = 0.0
    mpm: float = 0.0
    mpm_r_patch: float = 0.0
    mpm_r_image: float = 0.0
    qim: float = 0.0
    qim2: float = 0.0
    meaning: float = 0.0
    loss: str = "am_softmax"
    """That of both contrasts: am_softmax, softmax or sigmoid."""

    scale: float = 20.0
    margin: float = 0.1
    both_ways: bool = True
    """Items are told from other items' queries too, not only queries from other queries' items."""

    nested: tuple[int, ...] = (128, 64)
    """Besides all dimensions, the first so many of a vector are trained to be vectors of their own."""

    masked: int = 128
    """Of a batch so many products (and queries) are read again with parts hidden, for MLM, MPM and MPM_R."""

    mask_tokens: float = 0.15
    mask_cells: float = 0.3
    matched: int = 128
    """Of a batch so many pairs, and two negatives each, go through the cross-modal encoder of QIM and QIM2."""

    match_layers: int = 1
    patch_temperature: float = 0.1
    plain: int = 256
    """Texts of a step for the `meaning` task."""


@dataclass(frozen=True, slots=True)
class NegativesConfig:
    """Where negatives come from besides the process's own batch."""

    across: bool = True
    """CDNS: from the batches of all processes, with gradient. Of no effect in one process."""

    bank: int = 0
    """MBNS: so many item vectors of past steps, without gradient."""

    bank_after: int = 200
    """Steps before the bank is used: early on the towers move too fast for old vectors to stand for new ones."""

    bank_momentum: bool = False
    """The bank is filled by the moving average of the towers (see Optim.ema) instead of the towers themselves."""


@dataclass(frozen=True, slots=True)
class OptimConfig:
    """How the weights move. `batch` is per process; `chunk` products at a time go through the towers with gradient."""

    steps: int = 2000
    batch: int = 512
    chunk: int = 0
    """Gradient caching: the batch's gradient in the memory of a chunk's; 0 for the whole batch at once."""

    accumulate: int = 1
    """Batches, each with negatives of its own, whose mean gradient makes one step."""

    rate: float = 1e-3
    backbone_rate: float = 0.05
    """The rate of trained backbone layers, as a share of `rate`."""

    decay: float = 0.01
    warmup: int = 100
    clip: float = 1.0
    ema: float = 0.0
    """The decay of a moving average of the weights, which is then what is validated and served; 0 for none."""

    precision: str = "bf16"
    """What forwards are computed in: bf16, fp16 or fp32."""

    validate_every: int = 200
    validate_queries: int = 1000
    patience: int = 5
    """Validations without a better recall@10 after which training ends; 0 for never."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """All of it. `python -m liveshelf train RECIPE --set optim.steps=100` changes one number."""

    seed: int = 0
    towers: TowerShape = field(default_factory=TowerShape)
    data: DataConfig = field(default_factory=DataConfig)
    tasks: TaskWeights = field(default_factory=TaskWeights)
    negatives: NegativesConfig = field(default_factory=NegativesConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)

    def json(self) -> str:
        return json.dumps(asdict(self), indent=1, sort_keys=True)


def load(name: str, changes: Sequence[str] = ()) -> Recipe:
    """The recipe of that file, or of that name here, with `section.key=value` changes. Raises InvalidInput."""
    path = Path(name) if name.endswith(".toml") else RECIPES / f"{name}.toml"
    try:
        said = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as err:
        own = ", ".join(sorted(file.stem for file in RECIPES.glob("*.toml")))
        raise InvalidInput(f"There is no recipe {name!r}: name a .toml file, or one of {own}.") from err
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as err:
        raise InvalidInput(f"The recipe {path} is no TOML: {err}.") from err
    return checked(changed(_of(Recipe(), said, str(path)), changes))


def checked(recipe: Recipe) -> Recipe:
    """The recipe, if its values fit one another. Raises InvalidInput."""
    wrong = {
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
        "towers.late has no tokens: no mlm, mpm, mpm_r_patch, mpm_r_image, qim or qim2": (
            recipe.towers.late and any(weight for name in _ON_TOKENS if (weight := getattr(recipe.tasks, name)))
        ),
        "tasks has no weight above 0": not any(getattr(recipe.tasks, name) for name in _TASKS),
        "optim.batch must be at least 2, optim.steps and optim.validate_every at least 1": (
            recipe.optim.batch < 2 or min(recipe.optim.steps, recipe.optim.validate_every) < 1
        ),
    }
    for said, is_wrong in wrong.items():
        if is_wrong:
            raise InvalidInput(f"The recipe: {said}.")
    return recipe


def changed(recipe: Recipe, changes: Sequence[str]) -> Recipe:
    """The recipe with `section.key=value` changes, values as in TOML, where a bare word is text.

    Raises InvalidInput.
    """
    for change in changes:
        name, equals, text = change.partition("=")
        if not equals:
            raise InvalidInput(f"{change!r} changes nothing: write --set section.key=value.")
        *section, key = name.strip().split(".")
        tree: dict[str, Any] = {key: _value(text.strip())}
        for part in reversed(section):
            tree = {part: tree}
        recipe = _of(recipe, tree, f"--set {change}")
    return recipe


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _of(base: T, said: Mapping[str, Any], where: str) -> T:
    """`base`, a dataclass, with what is said instead. Raises InvalidInput for what it does not have."""
    start: Any = base
    known = {one.name for one in fields(start)}
    if unknown := sorted(said.keys() - known):
        raise InvalidInput(f"{where}: there is no {unknown[0]!r}: there are {', '.join(sorted(known))}.")
    kinds = get_type_hints(type(start))
    values = {
        name: _checked(getattr(start, name), value, kinds[name], f"{where}: {name}") for name, value in said.items()
    }
    result: T = replace(start, **values)
    return result


def _checked(old: Any, new: Any, kind: Any, where: str) -> Any:
    if is_dataclass(kind) and isinstance(new, Mapping):
        return _of(old, new, where)
    if isinstance(new, list) and isinstance(old, tuple):
        new = tuple(new)
    elif isinstance(old, tuple) and isinstance(new, str | int):
        new = (new,)
    elif isinstance(old, float) and type(new) is int:
        new = float(new)
    if type(new) is not type(old):
        raise InvalidInput(f"{where} is {new!r}: it must be a value like {old!r}.")
    return new
