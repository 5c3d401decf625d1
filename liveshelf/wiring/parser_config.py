"""Settings to the configuration of the event parser."""

from __future__ import annotations

from pathlib import Path

from catalog.errors import InvalidInput
from catalog.events.mapping import RecordMapping
from catalog.events.mapping_file import read_mapping
from catalog.events.parser import ParserConfig
from liveshelf.settings import Settings


def parser_config_of(settings: Settings) -> ParserConfig:
    """The parser's default tenant, mapping and version limit. Raises InvalidInput if the mapping cannot be read."""
    return ParserConfig(
        tenant=settings.default_tenant,
        mapping=_mapping(settings.mapping_file) if settings.mapping_file else None,
        max_skew_ms=round(settings.max_version_skew_seconds * 1000) or None,
    )


def _mapping(file: Path) -> RecordMapping:
    try:
        return read_mapping(file.read_text("utf-8"))
    except InvalidInput as error:
        hint = ' In TOML, quote texts: id = "sku".' if "not TOML" in str(error) else ""
        raise InvalidInput(f"LIVESHELF_MAPPING_FILE={file}: {error}{hint}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"LIVESHELF_MAPPING_FILE={file} cannot be read ({error}): name a TOML file.") from None
