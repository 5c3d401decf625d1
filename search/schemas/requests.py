"""The request bodies and parameters of the API."""

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

# The catalog checks the bounds of a query and words the errors; the bounds below document them in the schema.
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
    "{exists: true or false}; all must be satisfied. `price`, `currency`, `available` and `tenant` are fields of the "
    "product; any other name is an attribute."
)
USING = (
    "Named vector to compare: title and photo (fused), photo only (image), or title only (title, if the model has it, "
    "as builtin:small does)."
)
EXACT = "Compare with every product instead of searching the HNSW graph: slow and exact."
EF = "Search width of the HNSW graph: higher finds more and takes longer. If omitted, the service decides."
TIMEOUT = "Time limit of the answer, in milliseconds. Unfinished parts are left out, and `degraded` names them."
GROUP_BY = "Group products by the value of this field: one hit for each group, with the others in its variants."
GROUP_SIZE = "Maximum number of products in a group, including the hit."
SORT = "Order the best hits by price instead of score."
LIMIT = "Maximum number of hits, from 1 to 1000."
OFFSET = "Number of hits to skip."


class MixPart(BaseModel):
    """One part of a mix: exactly one of text, image_url, product and upload. Hits are similar to it, or
    dissimilar if its weight is negative."""

    model_config = STRICT

    text: str | None = Field(default=None, description="A text.", examples=["blue"])
    image_url: str | None = Field(
        default=None,
        description="A photo: an http, https or data URL.",
        examples=["https://images.example/wanted.jpg"],
    )
    product: ProductId | None = Field(
        default=None, description="The id of a live product; the product itself is not a hit.", examples=["sku-1"]
    )
    tenant: TenantName | None = Field(
        default=None, description="The tenant of the product; the default tenant if omitted.", examples=["default"]
    )
    upload: int | None = Field(
        default=None, ge=0, description="Position of the uploaded image in the form, from 0.", examples=[0]
    )
    weight: float = Field(
        default=1.0,
        allow_inf_nan=False,
        description="The weight of this part, from -100 to 100.",
        json_schema_extra=between(-100, 100),
    )

    @model_validator(mode="after")
    def _exactly_one(self) -> MixPart:
        given = [name for name in ("text", "image_url", "product", "upload") if getattr(self, name) is not None]
        if len(given) != 1:
            given_text = f"not {' and '.join(given)}" if given else "and none is given"
            raise ValueError(f"a part has exactly one of text, image_url, product and upload, {given_text}")
        if self.tenant is not None and self.product is None:
            raise ValueError("tenant needs a product in the same part: add one or leave tenant out")
        return self


class RrfBody(BaseModel):
    """Reciprocal rank fusion: the sum of weight / (k + rank) over the two rankings."""

    model_config = STRICT

    k: int = Field(default=60, description="Rank constant: the higher, the less the first ranks count.")
    dense: float = Field(default=1.0, allow_inf_nan=False, description="Weight of the dense ranking.")
    lexical: float = Field(default=1.0, allow_inf_nan=False, description="Weight of the lexical ranking.")


class WeightedBody(BaseModel):
    """A weighted sum of the two scores, each scaled to 0..1 over the hits."""

    model_config = STRICT

    dense: float = Field(
        default=0.5,
        allow_inf_nan=False,
        description="Weight of the dense score, from 0 to 1; the lexical score has the rest.",
    )


class FusionBody(BaseModel):
    """How a hybrid search fuses its two rankings: exactly one of rrf and weighted."""

    model_config = STRICT

    rrf: RrfBody | None = Field(
        default=None, description="Reciprocal rank fusion.", examples=[{"k": 60, "dense": 2, "lexical": 1}]
    )
    weighted: WeightedBody | None = Field(
        default=None, description="Weighted sum of scores.", examples=[{"dense": 0.7}]
    )

    @model_validator(mode="after")
    def _exactly_one(self) -> FusionBody:
        if (self.rrf is None) == (self.weighted is None):
            raise ValueError("exactly one of rrf and weighted is needed")
        return self


class FacetBody(BaseModel):
    """A facet: a field whose values are counted."""

    model_config = STRICT

    field: FieldName = Field(
        description="The field: an attribute, or currency, available or tenant.", examples=["brand"]
    )
    limit: int = Field(default=10, description="Maximum number of values, the most frequent first.")


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
                    "description": "Maximum number of values, the most frequent first.",
                },
            },
        },
    ]
}
Facet = Annotated[
    FacetBody, BeforeValidator(lambda v: {"field": v} if isinstance(v, str) else v), WithJsonSchema(FACET_SCHEMA)
]


class PartsFields(BaseModel):
    """The content of a query, and the named vector to compare it with."""

    model_config = STRICT

    text: str | None = Field(default=None, description="The text to search for.", examples=["sea green mug"])
    image_url: str | None = Field(
        default=None,
        description="A photo to search by: an http, https or data URL.",
        examples=["https://images.example/wanted.jpg"],
    )
    mix: list[MixPart] | None = Field(
        default=None,
        description="Up to 16 weighted parts that hits are similar or dissimilar to. text, image_url and an uploaded "
        "image together are one more part of weight 1.",
        examples=[
            [{"text": "mug", "weight": 1.0}, {"product": "sku-1", "weight": 0.5}, {"text": "blue", "weight": -0.3}]
        ],
    )
    using: str = Field(default="fused", description=USING, examples=["fused", "image", "title"])
    timeout_ms: int | None = Field(default=None, ge=1, le=MAX_MS, description=TIMEOUT, examples=[800])


class QueryFields(PartsFields):
    """A query: its content, mode and filter."""

    mode: ModeName | None = Field(
        default=None,
        description="By vectors (dense), by the words of titles (lexical), or both (hybrid). If omitted, the "
        "default of the service for text-only queries, and dense for all others.",
        examples=["hybrid"],
    )
    fusion: FusionBody | None = Field(
        default=None,
        description="How a hybrid search fuses its two rankings.",
        examples=[{"weighted": {"dense": 0.7}}],
    )
    exact: bool = Field(default=False, description=EXACT)
    ef: int | None = Field(default=None, description=EF, examples=[512], json_schema_extra=between(1, 10_000))
    filter: dict[str, Any] | None = Field(default=None, description=FILTER, examples=[FILTER_EXAMPLE])


class SearchRequest(QueryFields):
    """A query (text, an image, both, or a mix) and its result options."""

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
        description="Up to 16 facets: fields whose values are counted over all products that satisfy the filter.",
        examples=[["brand", {"field": "category", "limit": 5}]],
    )
    group_by: FieldName | None = Field(default=None, description=GROUP_BY, examples=["parent"])
    group_size: int = Field(default=3, description=GROUP_SIZE, json_schema_extra=between(1, 100))
    sort: SortName | None = Field(default=None, description=SORT, examples=["price"])
    limit: int = Field(default=20, description=LIMIT, json_schema_extra=between(1, 1000))
    offset: int = Field(default=0, description=OFFSET, json_schema_extra=between(0, 10_000))


class SimilarParams(BaseModel):
    """The options of a search for similar products."""

    model_config = ConfigDict(extra="forbid")

    tenant: TenantName | None = Field(
        default=None, description="The tenant of the product; the default tenant if omitted.", examples=["default"]
    )
    using: str = Field(default="fused", description=USING, examples=["fused", "image", "title"])
    exact: bool = Field(default=False, description=EXACT)
    ef: int | None = Field(default=None, description=EF, examples=[512], json_schema_extra=between(1, 10_000))
    filter: str | None = Field(
        default=None, description="The filter of POST /search, as JSON text.", examples=[FILTER_TEXT]
    )
    facets: list[FieldName] = Field(
        default=[], description="A field whose values are counted; repeat it for more fields.", examples=[["brand"]]
    )
    group_by: FieldName | None = Field(default=None, description=GROUP_BY, examples=["parent"])
    group_size: int = Field(default=3, description=GROUP_SIZE, json_schema_extra=between(1, 100))
    sort: SortName | None = Field(default=None, description=SORT, examples=["price"])
    limit: int = Field(default=20, description=LIMIT, json_schema_extra=between(1, 1000))
    offset: int = Field(default=0, description=OFFSET, json_schema_extra=between(0, 10_000))
    timeout_ms: int | None = Field(default=None, ge=1, le=MAX_MS, description=TIMEOUT, examples=[800])


class FacetParams(BaseModel):
    """The facets to count."""

    model_config = ConfigDict(extra="forbid")

    field: list[FieldName] = Field(
        default=[], description="A field whose values are counted; repeat it for more fields.", examples=[["brand"]]
    )
    limit: int = Field(
        default=10, description="Maximum number of values of each field.", json_schema_extra=between(1, 1000)
    )
    filter: str | None = Field(
        default=None, description="The filter of POST /search, as JSON text.", examples=[FILTER_TEXT]
    )
