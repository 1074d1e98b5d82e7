"""Computed traits and segments: declared in `audiences/`, over events and traits.

    from domain.audiences import Count, Segment

See docs/audiences.md.
"""

from domain.audiences.book import Assessment, Audiences, Move
from domain.audiences.declared import Declared
from domain.audiences.profile import Known, Profile
from domain.audiences.segments import Segment, about
from domain.audiences.summary import FOREVER, Bucket, Summary
from domain.audiences.traits import (
    ComputedTrait,
    Contribution,
    Count,
    First,
    FirstValue,
    Last,
    LastValue,
    Recency,
    Sum,
    Trait,
)

__all__ = [
    "FOREVER",
    "Assessment",
    "Audiences",
    "Bucket",
    "ComputedTrait",
    "Contribution",
    "Count",
    "Declared",
    "First",
    "FirstValue",
    "Known",
    "Last",
    "LastValue",
    "Move",
    "Profile",
    "Recency",
    "Segment",
    "Sum",
    "Summary",
    "Trait",
    "about",
]
