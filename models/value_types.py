"""Value types that manifests and messages share. Pure, as ``models.messages`` is."""

from typing import Annotated

from pydantic import Field

Share = Annotated[float, Field(ge=0, le=1)]
