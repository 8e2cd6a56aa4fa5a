"""Values and types that several contracts share. Pure, as ``models.messages`` is."""

from typing import Annotated

from pydantic import Field

# Grey of the letterbox: YOLOX's official checkpoints were trained with it, and every
# package and its golden frames rely on it.
PAD_VALUE = 114

Share = Annotated[float, Field(ge=0, le=1)]
