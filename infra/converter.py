"""How values travel to Temporal and back: as the SDK's converter for pydantic has it."""

from temporalio.contrib.pydantic import PydanticPayloadConverter
from temporalio.converter import CompositePayloadConverter, DataConverter

_CONVERTERS = PydanticPayloadConverter().converters


class PayloadConverter(CompositePayloadConverter):
    """The same for all: the SDK makes one for each workflow that waits, with a cache of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.converters = _CONVERTERS


DATA_CONVERTER = DataConverter(payload_converter_class=PayloadConverter)
"""For clients, and through them for workers."""
