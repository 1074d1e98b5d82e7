"""Journeys in virtual time: give a customer, events and the passing of time; see what is sent.

    from rehearsal import Rehearsal

See docs/test-a-journey.md.
"""

from rehearsal.calls import NotPlayed
from rehearsal.channels import PlainRenderer, RecordingChannel
from rehearsal.engine import Busy
from rehearsal.execution import Awaited
from rehearsal.people import Enrollment, Person, Row
from rehearsal.play import DidNotPark, Handed, NeverEnds, Play
from rehearsal.replay import NotDeterministic
from rehearsal.stage import NotEntered, Rehearsal
from rehearsal.store import MemoryStore

__all__ = [
    "Awaited",
    "Busy",
    "DidNotPark",
    "Enrollment",
    "Handed",
    "MemoryStore",
    "NeverEnds",
    "NotDeterministic",
    "NotEntered",
    "NotPlayed",
    "Person",
    "PlainRenderer",
    "Play",
    "RecordingChannel",
    "Rehearsal",
    "Row",
]
