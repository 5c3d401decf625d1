"""What is asked over the wire: the fields of a query."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

FILTER_EXAMPLE: dict[str, Any] = {
    "category": ["mugs", "lamps"],
    "price": {"gte": 5, "lt": 20},
    "color": {"not": "red"},
    "available": True,
}
FILTER_TEXT = '{"category": "mugs", "price": {"lt": 20}}'
STRICT = ConfigDict(extra="forbid", strict=True)

# What a search is refused for is said by the catalog, in sentences of its own; these are for whoever reads the schema.
MAX_MS = 60_000


def between(least: int, most: int | None = None) -> dict[str, Any]:
    """Bounds as JSON Schema."""
    return {"minimum": least} | ({} if most is None else {"maximum": most})


ModeName = Literal["dense", "lexical", "hybrid"]
SortName = Literal["price", "-price"]
FieldName = Annotated[str, Field(min_length=1, max_length=256)]
ProductId = Annotated[str, Field(min_length=1, max_length=512)]
TenantName = Annotated[str, Field(min_length=1, max_length=128)]

FILTER = (
    "Field to a value, a list of values (any of them), a range (gt, gte, lt, lte), {not: any of these} or "
    "{exists: true or false}; all must hold. `price`, `currency`, `available` and `tenant` are the product's own, any "
    "other name is an attribute."
)
USING = (
    "Which vectors are compared: those of title and photo (fused), of the photo alone (image), or of the title alone "
    "(title, where the model makes them, as builtin:small does)."
)
EXACT = "Compare with every product, whatever graph there is: slow and right."
EF = "How widely the graph is searched; more finds more and takes longer. Left out: the index's own choice."
TIMEOUT = "The time the answer may take. What is not done by then is left out, and said."
GROUP_BY = "A field whose value the products of a group share: one hit a group, the others in its variants."
GROUP_SIZE = "How many products of a group are shown at most, the hit among them."
SORT = "Order among the best by price instead of by score."
LIMIT = "How many hits at most, from 1 to 1000."
OFFSET = "How many hits to leave out before the first."


class MixPart(BaseModel):
    """One thing that hits are to be like, or, with a negative weight, unlike: exactly one of text, image_url, product
    and upload."""

    model_config = STRICT

    text: str | None = Field(default=None, description="In words.", examples=["blue"])
    image_url: str | None = Field(
        default=None,
        description="A photo: an http, https or data URL.",
        examples=["https://images.example/wanted.jpg"],
    )
    product: ProductId | None = Field(
        default=None, description="The id of a product that is there; it is no hit.", examples=["sku-1"]
    )
    tenant: TenantName | None = Field(
        default=None, description="Whose product; the default's if left out.", examples=["default"]
    )
    upload: int | None = Field(
        default=None, ge=0, description="The number of an uploaded image of the form, from 0.", examples=[0]
    )
    weight: float = Field(
        default=1.0, allow_inf_nan=False, description="How much it counts.", json_schema_extra=between(-100, 100)
    )

    @model_validator(mode="after")
    def _one(self) -> MixPart:
        given = [name for name in ("text", "image_url", "product", "upload") if getattr(self, name) is not None]
        if len(given) != 1:
            said = f"not {' and '.join(given)}" if given else "and none is given"
            raise ValueError(f"a part has exactly one of text, image_url, product and upload, {said}")
        if self.tenant is not None and self.product is None:
            raise ValueError("tenant says whose product is meant, and this part names none")
        return self


class RrfBody(BaseModel):
    """Reciprocal rank fusion: the sum of weight / (k + rank) over the two rankings."""

    model_config = STRICT

    k: int = Field(default=60, description="How much less the first ranks count than their distance says.")
    dense: float = Field(default=1.0, allow_inf_nan=False, description="The weight of the ranking by vectors.")
    lexical: float = Field(default=1.0, allow_inf_nan=False, description="The weight of the ranking by words.")


class WeightedBody(BaseModel):
    """A weighted sum of the two scores, each scaled to 0..1 over what was found."""

    model_config = STRICT

    dense: float = Field(default=0.5, allow_inf_nan=False, description="The share of the vectors; words have the rest.")


class FusionBody(BaseModel):
    """How a hybrid search makes one ranking of two: exactly one of rrf and weighted."""

    model_config = STRICT

    rrf: RrfBody | None = Field(default=None, description="By ranks.", examples=[{"k": 60, "dense": 2, "lexical": 1}])
    weighted: WeightedBody | None = Field(default=None, description="By scores.", examples=[{"dense": 0.7}])

    @model_validator(mode="after")
    def _one(self) -> FusionBody:
        if (self.rrf is None) == (self.weighted is None):
            raise ValueError("exactly one of rrf and weighted is needed")
        return self


class FacetBody(BaseModel):
    """A field whose values are counted."""

    model_config = STRICT

    field: FieldName = Field(
        description="The field: an attribute, or currency, available or tenant.", examples=["brand"]
    )
    limit: int = Field(default=10, description="How many values at most, the most frequent ones.")


FACET_SCHEMA = {
    "anyOf": [
        {"type": "string", "minLength": 1, "maxLength": 256},
        {
            "type": "object",
            "additionalProperties": False,
            "required": ["field"],
            "properties": {
                "field": {
                    "type": "string",
                    "minLength": 1,
                    "maxLength": 256,
                    "description": "The field.",
                    "examples": ["brand"],
                },
                "limit": {
                    "type": "integer",
                    "default": 10,
                    "minimum": 1,
                    "maximum": 1000,
                    "description": "How many values at most, the most frequent ones.",
                },
            },
        },
    ]
}
Facet = Annotated[
    FacetBody, BeforeValidator(lambda v: {"field": v} if isinstance(v, str) else v), WithJsonSchema(FACET_SCHEMA)
]


class PartsFields(BaseModel):
    """What is looked for, and by which vectors."""

    model_config = STRICT

    text: str | None = Field(default=None, description="What is looked for, in words.", examples=["sea green mug"])
    image_url: str | None = Field(
        default=None,
        description="A photo of it: an http, https or data URL.",
        examples=["https://images.example/wanted.jpg"],
    )
    mix: list[MixPart] | None = Field(
        default=None,
        description="Several things that hits are to be like or unlike, by weight; up to 16. text, image_url and an "
        "uploaded image are one more part of weight 1, read together.",
        examples=[
            [{"text": "mug", "weight": 1.0}, {"product": "sku-1", "weight": 0.5}, {"text": "blue", "weight": -0.3}]
        ],
    )
    using: str = Field(default="fused", description=USING, examples=["fused", "image", "title"])
    timeout_ms: int | None = Field(default=None, ge=1, le=MAX_MS, description=TIMEOUT, examples=[800])


class QueryFields(PartsFields):
    """What is looked for, and how."""

    mode: ModeName | None = Field(
        default=None,
        description="By vectors (dense), by the words of titles (lexical), or both (hybrid). Left out: what was "
        "measured to be best for words alone, and dense for all else.",
        examples=["hybrid"],
    )
    fusion: FusionBody | None = Field(
        default=None,
        description="How a hybrid search makes one ranking of two.",
        examples=[{"weighted": {"dense": 0.7}}],
    )
    exact: bool = Field(default=False, description=EXACT)
    ef: int | None = Field(default=None, description=EF, examples=[512], json_schema_extra=between(1, 10_000))
    filter: dict[str, Any] | None = Field(default=None, description=FILTER, examples=[FILTER_EXAMPLE])


class SearchRequest(QueryFields):
    """A query: text, an image, or both, or a mix of several; and how the hits are to come."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"text": "sea green mug", "limit": 5, "filter": FILTER_EXAMPLE},
                {"mix": [{"product": "mug"}, {"text": "blue", "weight": 0.5}], "facets": ["brand"]},
            ]
        },
    )

    facets: list[Facet] | None = Field(
        default=None,
        description="Fields whose values are counted over all products that satisfy the filter; up to 16.",
        examples=[["brand", {"field": "category", "limit": 5}]],
    )
    group_by: FieldName | None = Field(default=None, description=GROUP_BY, examples=["parent"])
    group_size: int = Field(default=3, description=GROUP_SIZE, json_schema_extra=between(1, 100))
    sort: SortName | None = Field(default=None, description=SORT, examples=["price"])
    limit: int = Field(default=20, description=LIMIT, json_schema_extra=between(1, 1000))
    offset: int = Field(default=0, description=OFFSET, json_schema_extra=between(0, 10_000))


class SimilarParams(BaseModel):
    """How the products like one are to come."""

    model_config = ConfigDict(extra="forbid")

    tenant: TenantName | None = Field(
        default=None, description="Whose product; the default's if left out.", examples=["default"]
    )
    using: str = Field(default="fused", description=USING, examples=["fused", "image", "title"])
    exact: bool = Field(default=False, description=EXACT)
    ef: int | None = Field(default=None, description=EF, examples=[512], json_schema_extra=between(1, 10_000))
    filter: str | None = Field(
        default=None, description="The filter of POST /search, as JSON text.", examples=[FILTER_TEXT]
    )
    facets: list[FieldName] = Field(
        default=[], description="A field whose values are counted; may be repeated.", examples=[["brand"]]
    )
    group_by: FieldName | None = Field(default=None, description=GROUP_BY, examples=["parent"])
    group_size: int = Field(default=3, description=GROUP_SIZE, json_schema_extra=between(1, 100))
    sort: SortName | None = Field(default=None, description=SORT, examples=["price"])
    limit: int = Field(default=20, description=LIMIT, json_schema_extra=between(1, 1000))
    offset: int = Field(default=0, description=OFFSET, json_schema_extra=between(0, 10_000))
    timeout_ms: int | None = Field(default=None, ge=1, le=MAX_MS, description=TIMEOUT, examples=[800])


class FacetParams(BaseModel):
    """What to count."""

    model_config = ConfigDict(extra="forbid")

    field: list[FieldName] = Field(
        default=[], description="A field whose values are counted; may be repeated.", examples=[["brand"]]
    )
    limit: int = Field(default=10, description="How many values of each at most.", json_schema_extra=between(1, 1000))
    filter: str | None = Field(
        default=None, description="The filter of POST /search, as JSON text.", examples=[FILTER_TEXT]
    )
