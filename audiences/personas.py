"""What customers want to do with us, as far as they have told or shown."""

from domain.audiences import Count, Segment, Trait
from domain.events import InviteSent

use_case = Trait(str)
invitations = Count(InviteSent)

teams = Segment(lambda customer: customer[use_case] == "team" or customer[invitations] > 1)
