"""The formats of a line by their names.

Guarantees: one object per name, without state: any thread may use them.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from vault.audit.formats.cef import Cef
from vault.audit.formats.csv_rows import CsvRows
from vault.audit.formats.json_line import JsonLine
from vault.audit.formats.leef import Leef
from vault.audit.formats.line import LineFormat
from vault.audit.formats.ocsf import Ocsf

_ALL: Final[tuple[LineFormat, ...]] = (CsvRows(), Cef(), Leef(), Ocsf(), JsonLine())

FORMATS: Final[Mapping[str, LineFormat]] = MappingProxyType(
    {one.name: one for one in _ALL}
)
