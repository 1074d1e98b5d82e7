"""Task queues: who waits behind whom."""

from domain.messages import Topic

JOURNEYS = "sojourn-journeys"
"""Journeys themselves and their short questions to the store."""

SENDS = {
    Topic.SERVICE: "sojourn-sends-service",
    Topic.FEEDBACK: "sojourn-sends-bulk",
    Topic.PROMOTIONAL: "sojourn-sends-bulk",
}
"""Sending, by topic: bulk work never starves a purchase receipt."""
