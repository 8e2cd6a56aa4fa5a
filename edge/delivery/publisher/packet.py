"""What the publisher sends: one MQTT message, and the event that it belongs to."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Packet:
    """One message to publish.

    Attributes:
        seq: Position of the event that it completes; 0 = no event.
        stream: Stream of that position.
        qos: 0 or 1.
        retain: The broker keeps it for later subscribers.
        image_of: Position of the event whose picture it is; 0 = no picture.
    """

    topic: str
    payload: bytes
    seq: int = 0
    stream: str = ""
    qos: int = 1
    retain: bool = False
    image_of: int = 0

    @property
    def topic_family(self) -> str:
        """The topic, without the id of a picture."""
        return self.topic.rpartition("/")[0] if self.image_of else self.topic
