"""The development mailbox: a real SMTP server and a simulator of HTTP providers.

It takes what the channels send, shows it as a customer would have received it, counts it, and
fails on request in the ways that real providers fail.
"""

from cli.mailbox.app import create_app
from cli.mailbox.faults import Fault, Faults
from cli.mailbox.process import serve
from cli.mailbox.store import MessageStore, StoredMessage

__all__ = ["Fault", "Faults", "MessageStore", "StoredMessage", "create_app", "serve"]
