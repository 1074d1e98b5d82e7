"""All that is declared, and what follows from it for one event or one customer."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from domain.audiences.declared import Declared
from domain.audiences.profile import Known, Profile, Unfilled
from domain.audiences.segments import Segment
from domain.audiences.traits import ComputedTrait, Contribution, Trait, plain
from domain.errors import AudienceError
from domain.events import Event

_log = logging.getLogger(__name__)

_LOOK_AHEAD = 32
_MOST_COMPLAINTS = 100


@dataclass(frozen=True, slots=True)
class Move:
    """A customer enters or leaves a segment.

    Attributes:
        segment: its name.
        entered: True for an entry.
        ordinal: how many moves of the customer in and out of it there are with this one.
        evidence: what it was decided on.
        silent: noted, but no event: the segment or what it asks for is new, the customer is not.
    """

    segment: str
    entered: bool
    ordinal: int
    evidence: Mapping[str, Any]
    silent: bool = False


@dataclass(frozen=True, slots=True)
class Assessment:
    """What a look at one customer's segments found.

    Attributes:
        moves: the entries and exits since the last look.
        due: when to look again if nothing happens; None: never.
    """

    moves: list[Move]
    due: datetime | None


class Audiences:
    """The computed traits and segments that there are, as one process knows them.

    Args:
        declared: what was found in `audiences/`.

    Raises:
        AudienceError: two have one name, or a segment names what nobody declared.
    """

    def __init__(self, declared: Iterable[Declared] = ()) -> None:
        by_name: dict[str, Declared] = {}
        for one in declared:
            other = by_name.setdefault(one.name, one)
            if other is not one:
                raise AudienceError(f"two traits or segments are called {one.name!r}: rename one")
        self.computed = tuple(d for d in by_name.values() if isinstance(d, ComputedTrait))
        self.segments = tuple(d for d in by_name.values() if isinstance(d, Segment))
        told = [d for d in by_name.values() if isinstance(d, Trait)]
        self.told = frozenset(trait.name for trait in told)
        traits: dict[str, Trait[Any] | ComputedTrait[Any]] = {}
        traits.update((trait.name, trait) for trait in told)
        traits.update((trait.name, trait) for trait in self.computed)
        for segment in self.segments:
            segment.bind(traits)
        self._by_event: dict[str, list[ComputedTrait[Any]]] = {}
        for computed in self.computed:
            self._by_event.setdefault(computed.event.name, []).append(computed)
        self.names = {one.key: one.name for one in (*self.computed, *self.segments)}
        self._complained: set[str] = set()

    def __bool__(self) -> bool:
        """Whether there is anything to compute."""
        return bool(self.names)

    @property
    def keys(self) -> list[str]:
        """The keys of all computed traits and segments."""
        return list(self.names)

    def contributions(self, event: Event, now: datetime) -> list[Contribution]:
        """What an event adds to computed traits. One that has left the window adds nothing."""
        added = []
        for trait in self._by_event.get(event.name, ()):
            try:
                contribution = trait.contribution(event)
            except Exception as error:  # noqa: BLE001 - one trait's mistake must not cost the event
                self._complain(trait, error)
                continue
            if contribution is not None and contribution.until > now:
                added.append(contribution)
        return added

    def concerned(self, traits: Iterable[str]) -> bool:
        """Whether a segment may depend on one of these told traits."""
        return bool(self.segments) and not self.told.isdisjoint(traits)

    def events(self, keys: Iterable[str]) -> frozenset[type[Event]]:
        """The event types from which these are computed."""
        wanted = set(keys)
        return frozenset(trait.event for trait in self.computed if trait.key in wanted)

    def values(self, known: Known, now: datetime) -> dict[str, Any]:
        """The computed traits of a customer at a moment, as JSON, without what is not filled."""
        return {
            trait.name: plain(trait.value(known.buckets.get(trait.key, ()), now))
            for trait in self.computed
            if trait.key in known.filled
        }

    def members(self, known: Known, now: datetime) -> tuple[str, ...]:
        """The segments that a customer is in at a moment."""
        return tuple(s.name for s in self.segments if self._ask(s, known, now)[0])

    def is_member(self, segment: Segment, known: Known, now: datetime) -> bool:
        """Whether a customer is in one segment at a moment."""
        return bool(self._ask(segment, known, now)[0])

    def assess(
        self,
        known: Known,
        now: datetime,
        *,
        new: frozenset[str] = frozenset(),
        announce: bool = False,
    ) -> Assessment:
        """Look at a customer's segments.

        Args:
            known: what is known of the customer.
            now: the moment.
            new: keys of computed traits and segments that were computed from the history just
                now: that customers are in a segment because of them is not news.
            announce: it is news all the same.
        """
        moves: list[Move] = []
        due: list[datetime] = []
        for segment in self.segments:
            if segment.key in known.retired:
                continue
            member, profile = self._ask(segment, known, now)
            if member is None or segment.key not in known.filled:
                continue
            was_in, count = known.moves.get(segment.name, (False, 0))
            if member != was_in:
                because = {segment.key, *(t.key for t, _ in profile.asked.values())}
                silent = not announce and not new.isdisjoint(because)
                moves.append(Move(segment.name, member, count + 1, profile.evidence(), silent))
            change = self._next_change(segment, known, profile, member=member)
            if change is not None:
                due.append(change)
        return Assessment(moves, min(due, default=None))

    def _ask(self, segment: Segment, known: Known, now: datetime) -> tuple[bool | None, Profile]:
        """Whether a customer is in a segment, or None where that cannot be told."""
        profile = Profile(known, now)
        try:
            return segment.holds(profile), profile
        except Unfilled:
            return None, profile
        except Exception as error:  # noqa: BLE001 - one segment's mistake must not cost the event
            self._complain(segment, error)
            return None, profile

    def _next_change(
        self, segment: Segment, known: Known, profile: Profile, *, member: bool
    ) -> datetime | None:
        """When membership changes if nothing happens, or when to look further ahead."""
        at = profile.next_change()
        for _ in range(_LOOK_AHEAD):
            if at is None:
                return None
            then, profile = self._ask(segment, known, at)
            if then != member:
                return at
            at = profile.next_change()
        return at

    def _complain(self, what: Declared, error: Exception) -> None:
        """Say what is wrong with a definition, once a process: it may be asked a million times."""
        said = f"{what.name}: {error!r}"
        if said not in self._complained and len(self._complained) < _MOST_COMPLAINTS:
            self._complained.add(said)
            _log.error("%s cannot be computed and stays as it is", said, exc_info=error)
