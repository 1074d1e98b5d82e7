"""Task queues: who waits behind whom."""

from domain.messages import Topic
from domain.temporal_names import JOURNEYS

__all__ = ["JOURNEYS", "SENDS"]

_BULK = "sojourn-sends-bulk"

SENDS = {Topic.SERVICE: JOURNEYS, Topic.FEEDBACK: _BULK, Topic.PROMOTIONAL: _BULK}
"""Sending, by topic: bulk work never starves a purchase receipt.

On its journey's own queue a send goes straight back to the worker that asked for it, without
another way through the server. The journeys' short questions to the store are local
activities, so a slow provider of service messages keeps no journey from them.
"""
