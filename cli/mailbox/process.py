"""The mailbox as a process: SMTP and HTTP on the loopback address, until told to stop."""

import contextlib
import logging

import uvicorn

from cli.mailbox.app import create_app
from cli.mailbox.dropping import DroppableHttp
from cli.mailbox.faults import Faults
from cli.mailbox.smtp import Handler, SmtpServer
from cli.mailbox.store import MessageStore
from infra.settings import Settings
from infra.web import listen, run_server

_HOST = "127.0.0.1"


async def serve(settings: Settings) -> None:
    """Run the mailbox until cancelled, or until SIGINT or SIGTERM.

    Raises:
        ConfigurationError: a port is in use or may not be used, or the data directory is not
            writable; the setting is named.
    """
    # aiosmtpd tells every command of every conversation.
    logging.getLogger("mail.log").setLevel(logging.WARNING)
    faults = Faults()
    with (
        listen(_HOST, settings.smtp_port, "SOJOURN_SMTP_PORT") as smtp_listener,
        listen(_HOST, settings.mailbox_port, "SOJOURN_MAILBOX_PORT") as http_listener,
        contextlib.closing(MessageStore(settings.data_dir / "mailbox.jsonl")) as store,
    ):
        smtp = SmtpServer(Handler(store, faults))
        config = uvicorn.Config(
            create_app(store, faults),
            http=DroppableHttp,
            log_config=None,
            log_level="warning",
            access_log=False,
            lifespan="off",
            timeout_keep_alive=75,
            timeout_graceful_shutdown=1,
        )
        try:
            await smtp.start(smtp_listener)
            await run_server(config, http_listener)
        finally:
            await smtp.close()
