"""The processes that people start by hand: the command line and the development mailbox."""
