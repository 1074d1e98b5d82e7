"""Who a customer is: an `identify` call, and what its context says beside its traits.

Source: Segment, "Spec: Identify" and "Spec: Common Fields".
"""

from collections.abc import Mapping
from typing import Any, TypeGuard

from api.fields import LONGEST_NAME, check_length, object_of
from domain.customers import ADDRESS_TRAITS, TRAITS_OF_SEGMENT
from domain.errors import Refused
from domain.local_time import time_zone

LONGEST_ADDRESS = 2_000
"""Bytes of an e-mail address, a phone number or a push token."""


def read_identify(
    item: Mapping[str, Any], around: Mapping[str, Any] | None
) -> tuple[str, Mapping[str, Any], dict[str, Any]]:
    """The event's name, its content and its effects.

    Args:
        item: the call.
        around: the context that its batch states for all of its calls.

    Raises:
        Refused: an address is none, or a name or an address is too long.
    """
    beneath, above = _beneath(item, around), object_of(item, "traits") or {}
    traits = {**_in_our_words(beneath), **_in_our_words(above)}
    effects: dict[str, Any] = {"traits": traits}
    for name in traits:
        check_length(name, "a trait's name", "traits")
    addresses: dict[str, str | None] = {}
    for name, channel in ADDRESS_TRAITS.items():
        if name in traits:
            address = traits[name]
            if address is not None and not isinstance(address, str):
                raise Refused(f"traits.{name} must be a string", field=f"traits.{name}")
            if address is not None and len(address.encode()) > LONGEST_ADDRESS:
                raise Refused(
                    f"traits.{name} is longer than {LONGEST_ADDRESS} bytes",
                    field=f"traits.{name}",
                )
            addresses[channel] = (address or "").strip() or None
    if addresses:
        effects["addresses"] = addresses
    # What is not a time zone stays a trait and changes nothing; null forgets.
    if "timezone" in traits and (traits["timezone"] is None or _is_time_zone(traits["timezone"])):
        effects["time_zone"] = traits["timezone"]
    if "locale" in traits and isinstance(locale := traits["locale"], str | None):
        effects["locale"] = (locale or "").strip()[:LONGEST_NAME] or None
    return "identify", {**beneath, **above}, effects


def _in_our_words(traits: Mapping[str, Any]) -> Mapping[str, Any]:
    """The traits by the names that templates ask for; where one is told by both, ours counts."""
    if traits.keys().isdisjoint(TRAITS_OF_SEGMENT):
        return traits
    return {TRAITS_OF_SEGMENT.get(name, name): value for name, value in traits.items()} | {
        name: traits[name] for name in TRAITS_OF_SEGMENT.values() if name in traits
    }


def _beneath(item: Mapping[str, Any], around: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """What a call's context says of the customer; its own traits count more.

    RudderStack's libraries have an identify's traits there, most of them only there. Libraries of
    devices say where the device is, how its user reads, and where it is pushed to; of a batch's
    calls its own context may say so.
    """
    context = object_of(item, "context") or {}
    traits = context.get("traits")
    if traits is not None and not isinstance(traits, dict):
        raise Refused("context.traits must be an object", field="context.traits")
    return {**_of_the_device({**(around or {}), **context}), **(traits or {})}


def _of_the_device(context: Mapping[str, Any]) -> Mapping[str, str]:
    """Nobody said these of the customer in so many words: what makes no sense is passed over."""
    told: dict[str, str] = {}
    zone = context.get("timezone")
    if _is_time_zone(zone):
        told["timezone"] = zone
    locale = context.get("locale")
    if isinstance(locale, str) and 0 < len(locale.strip()) <= LONGEST_NAME:
        told["locale"] = locale.strip()
    device = context.get("device")
    token = device.get("token") if isinstance(device, dict) else None
    if isinstance(token, str) and token.strip() and len(token.encode()) <= LONGEST_ADDRESS:
        told["push_token"] = token.strip()
    return told


def _is_time_zone(name: Any) -> TypeGuard[str]:
    return isinstance(name, str) and time_zone(name) is not None
