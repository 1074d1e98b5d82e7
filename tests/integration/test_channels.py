"""Each channel against a real peer that fails in the ways that providers fail."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email import policy
from email.parser import BytesParser
from typing import Any

import httpx
import pytest
import pytest_asyncio

from domain.errors import ConfigurationError
from domain.messages import (
    Accepted,
    Ambiguous,
    Parcel,
    ProviderAnswer,
    RejectedForGood,
    RejectedForNow,
    Rendered,
)
from domain.ports import Channel, Endpoints
from infra.channels import (
    ConfiguredEndpoints,
    EmailChannel,
    PushChannel,
    WebhookChannel,
    build_channels,
)
from infra.channels.envelope import compose, parse_recipient, parse_sender
from infra.channels.over_http import retry_after
from tests.mailbox import Mailbox, running_mailbox
from tests.parts import free_port
from tests.patience import PATIENCE, eventually

SENT_AT = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)
FAMILY = "👩‍👧"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def mailbox(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Mailbox]:
    async with running_mailbox(tmp_path_factory.mktemp("mailbox")) as running:
        yield running


@pytest_asyncio.fixture(autouse=True, loop_scope="session")
async def _empty(mailbox: Mailbox) -> None:
    await mailbox.clear()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def channels(mailbox: Mailbox) -> AsyncIterator[dict[str, Channel]]:
    built = build_channels(mailbox.settings)
    yield built
    for channel in built.values():
        await channel.close()


@pytest_asyncio.fixture(loop_scope="session")
async def email(channels: dict[str, Channel]) -> Channel:
    return channels["email"]


@pytest_asyncio.fixture(loop_scope="session")
async def push(channels: dict[str, Channel]) -> Channel:
    return channels["push"]


@pytest_asyncio.fixture(loop_scope="session")
async def webhook(channels: dict[str, Channel]) -> Channel:
    return channels["webhook"]


def parcel(address: str = "zoe@shop.example", **content: Any) -> Parcel:
    key = content.pop("key", "journey/abandoned_cart/cus_1/c1/reminder/email")
    data = content.pop("data", {})
    words = Rendered(**{"subject": "Hello", "text": "Hello, Zoë.", **content})
    return Parcel(key, "msg_1", address, words, data, SENT_AT)


def care(mailbox: Mailbox) -> str:
    return f"{mailbox.settings.mailbox_url}/webhooks/care"


# E-mail


async def test_an_email_arrives_with_both_parts_and_its_key(
    mailbox: Mailbox, email: Channel
) -> None:
    sent = parcel(subject="Your cart", text="Plain.\n.\n..dots", html="<p>Rich &amp; ünï</p>")
    answer = await email.deliver(sent)

    assert answer == Accepted("<msg_1@sojourn.localhost>")
    [message] = await mailbox.messages()
    assert list(message) == [
        "channel", "to", "subject", "text", "received_at", "idempotency_key",
    ]  # fmt: skip
    assert message["channel"] == "email"
    assert message["to"] == "zoe@shop.example"
    assert message["subject"] == "Your cart"
    assert message["text"] == "Plain.\n.\n..dots"
    assert message["idempotency_key"] == sent.key
    assert datetime.fromisoformat(message["received_at"]).utcoffset() == timedelta(0)
    number = int((await mailbox.http.get("/messages")).headers["x-first-number"])
    html = await mailbox.http.get(f"/messages/{number}/html")
    assert html.text == "<p>Rich &amp; ünï</p>"
    assert "sandbox" in html.headers["content-security-policy"]


async def test_the_same_message_handed_over_again_has_the_same_message_id(email: Channel) -> None:
    first, second = await email.deliver(parcel()), await email.deliver(parcel())
    assert first == second
    assert email.idempotency_life is None


async def test_our_id_is_in_what_providers_give_back() -> None:
    server = Server(WHOLE)
    listening = await asyncio.start_server(server.talk, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    channel = EmailChannel(
        "127.0.0.1", port, "a@b.example", headers={"X-PM-Metadata-sojourn": "{message_id}"}
    )
    await channel.deliver(parcel())
    await channel.close()
    listening.close()
    await listening.wait_closed()
    [raw] = server.taken
    read = BytesParser(policy=policy.default).parsebytes(raw)
    assert read["Message-ID"] == "<msg_1@b.example>"
    assert read["X-Sojourn-Message"] == "msg_1"
    assert read["X-PM-Metadata-sojourn"] == "msg_1"


@pytest.mark.parametrize(
    ("name", "value"),
    [("Bcc", "a@b.example"), ("Message-Id", "x"), ("X-A\r\nBcc", "x"), ("X-A", "x\r\nBcc: y")],
)
def test_a_header_with_a_meaning_of_its_own_cannot_be_set(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match="SOJOURN_EMAIL_HEADERS"):
        EmailChannel("127.0.0.1", 25, "a@b.example", headers={name: value})


def test_a_header_cannot_be_set_twice() -> None:
    # Of some there may be one: no mail could be made, and every address would be dead.
    twice = {"Reply-To": "a@b.example", "reply-to": "c@b.example"}
    with pytest.raises(ConfigurationError, match="SOJOURN_EMAIL_HEADERS: 'Reply-To'"):
        EmailChannel("127.0.0.1", 25, "a@b.example", headers=twice)


async def test_emoji_survive_everywhere(mailbox: Mailbox, email: Channel) -> None:
    subject = f"Grüße 🛒 {FAMILY} " + "lang " * 30 + "🎉"
    key = f"journey/x/cus_1/🛒 ü%41/{'k' * 150}/email"
    answer = await email.deliver(
        parcel("zoë🎈@bücher.example", subject=subject, text=f"{FAMILY}\n🛒", key=key)
    )
    assert isinstance(answer, Accepted)
    [message] = await mailbox.messages()
    assert message["to"] == "zoë🎈@bücher.example"
    assert message["subject"] == subject
    assert message["text"] == f"{FAMILY}\n🛒"
    assert message["idempotency_key"] == key


async def test_half_a_character_does_not_stop_a_message(mailbox: Mailbox, email: Channel) -> None:
    answer = await email.deliver(parcel(subject="a\ud83db", text="a\ud83db", html="a\ud83db"))
    assert isinstance(answer, Accepted)
    [message] = await mailbox.messages()
    assert (message["subject"], message["text"]) == ("a?b", "a?b")


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r", "\x0b", "\x0c", "\x85", "\u2028"])
async def test_a_newline_in_a_subject_injects_no_header(
    mailbox: Mailbox, email: Channel, newline: str
) -> None:
    hostile = f"Hi{newline}Bcc: all@shop.example{newline}{newline}body"
    assert isinstance(await email.deliver(parcel(subject=hostile, key=f"k{hostile}")), Accepted)
    [message] = await mailbox.messages()
    assert message["subject"] == "Hi Bcc: all@shop.example body"
    assert message["text"] == "Hello, Zoë."
    assert message["idempotency_key"] == f"k{hostile}"
    raw = compose(
        parcel(subject=hostile, key=hostile),
        parse_sender("a@b.example"),
        {"X-Tracking": '{"id": "{message_id}", "key": "{key}"}'},
    ).content
    read = BytesParser(policy=policy.default).parsebytes(raw)
    assert read["Bcc"] is None
    assert json.loads(read["X-Tracking"])["id"] == "msg_1"


@pytest.mark.parametrize(
    "address",
    [
        "",
        "zoe",
        "@shop.example",
        "zoe@",
        "zoe@shop..example",
        "zoe@-shop.example",
        "zoe..z@shop.example",
        "zoe@shop.example>\r\nRCPT TO:<all@shop.example",
        "zoe\r\nDATA@shop.example",
        "zoe z@shop.example",
        "Zoe <zoe@shop.example>",
        "zoe@shop.example, all@shop.example",
        "zoe\x00@shop.example",
        "zo\ud83d@shop.example",
        "z" * 65 + "@shop.example",
        "zoe@" + "a" * 64 + ".example",
        "zoe@" + "shop." * 60 + "example",
    ],
)
async def test_what_is_no_address_is_a_dead_one(
    mailbox: Mailbox, email: Channel, address: str
) -> None:
    answer = await email.deliver(parcel(address))
    assert isinstance(answer, RejectedForGood)
    assert answer.address_is_dead
    assert await mailbox.messages() == []


def test_addresses_are_read_as_smtp_wants_them() -> None:
    assert (
        parse_recipient(" o'Brien+x@Bücher.Example ").address == "o'Brien+x@xn--bcher-kva.example"
    )
    sender = parse_sender("Zoë, Shop <hello@shop.example>".replace("Zoë, Shop", '"Zoë, Shop"'))
    assert (sender.name, sender.address) == ("Zoë, Shop", "hello@shop.example")
    with pytest.raises(ConfigurationError, match="SOJOURN_EMAIL_FROM"):
        EmailChannel("127.0.0.1", 25, "nobody")


async def test_a_refused_recipient_is_a_dead_address(mailbox: Mailbox, email: Channel) -> None:
    await mailbox.fault("email", "550_rcpt")
    answer = await email.deliver(parcel())
    assert isinstance(answer, RejectedForGood)
    assert answer.address_is_dead
    assert "550" in answer.detail
    # The conversation goes on with the next message.
    assert isinstance(await email.deliver(parcel("next@shop.example")), Accepted)
    assert [m["to"] for m in await mailbox.messages()] == ["next@shop.example"]


@pytest.mark.parametrize("fault", ["451_rcpt", "452_data"])
@pytest.mark.parametrize("warm", [False, True])
async def test_a_temporary_refusal_is_for_now(
    mailbox: Mailbox, email: Channel, fault: str, warm: bool
) -> None:
    if warm:
        await email.deliver(parcel())
    await mailbox.fault("email", fault)
    answer = await email.deliver(parcel())
    assert isinstance(answer, RejectedForNow)
    assert fault[:3] in answer.detail
    assert len(await mailbox.messages()) == warm
    assert isinstance(await email.deliver(parcel()), Accepted)


async def test_refused_content_is_for_good_and_not_the_addresss_fault(
    mailbox: Mailbox, email: Channel
) -> None:
    await mailbox.fault("email", "554_data")
    answer = await email.deliver(parcel())
    assert isinstance(answer, RejectedForGood)
    assert not answer.address_is_dead
    assert await mailbox.messages() == []


async def test_a_connection_lost_after_data_is_ambiguous_and_the_message_was_taken(
    mailbox: Mailbox, email: Channel
) -> None:
    await mailbox.fault("email", "drop_after_data")
    assert isinstance(await email.deliver(parcel()), Ambiguous)
    assert len(await mailbox.messages()) == 1
    assert isinstance(await email.deliver(parcel()), Accepted)


async def test_no_answer_in_time_after_data_is_ambiguous(mailbox: Mailbox) -> None:
    await mailbox.fault("email", "slow", seconds=60)
    channel = EmailChannel("127.0.0.1", mailbox.settings.smtp_port, "a@b.example", timeout=2)
    assert isinstance(await channel.deliver(parcel()), Ambiguous)
    assert len(await mailbox.messages()) == 1
    await channel.close()


async def test_a_refused_connection_is_for_now() -> None:
    channel = EmailChannel("127.0.0.1", free_port(), "a@b.example")
    assert isinstance(await channel.deliver(parcel()), RejectedForNow)
    await channel.close()


async def test_a_name_that_does_not_resolve_is_for_now() -> None:
    channel = EmailChannel("mail.invalid", 25, "a@b.example", timeout=5)
    assert isinstance(await channel.deliver(parcel()), RejectedForNow)
    await channel.close()


async def test_a_password_that_the_server_does_not_ask_for_is_for_now(mailbox: Mailbox) -> None:
    port = mailbox.settings.smtp_port
    channel = EmailChannel("127.0.0.1", port, "a@b.example", username="u", password="p")
    assert isinstance(await channel.deliver(parcel()), RejectedForNow)
    insisting = EmailChannel("127.0.0.1", port, "a@b.example", starttls=True)
    assert isinstance(await insisting.deliver(parcel()), RejectedForNow)
    await channel.close()
    await insisting.close()


async def test_a_restarted_server_is_not_mistaken_for_an_ambiguous_answer(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("restart")
    async with running_mailbox(folder) as first:
        settings = first.settings
        channel = build_channels(settings)["email"]
        assert isinstance(await channel.deliver(parcel()), Accepted)
    assert isinstance(await channel.deliver(parcel()), RejectedForNow)
    ports = {"smtp_port": settings.smtp_port, "mailbox_port": settings.mailbox_port}
    async with running_mailbox(folder, **ports) as second:
        assert isinstance(await channel.deliver(parcel()), Accepted)
        assert len(await second.messages()) == 2
        await channel.close()


class Server:
    """An SMTP server that follows a script: what it answers to each command in turn."""

    def __init__(self, *scripts: list[str | None]) -> None:
        self.scripts = list(scripts)
        self.heard: list[str] = []
        self.taken: list[bytes] = []

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for line in self.scripts.pop(0):
            if line is None:
                break
            writer.write(line.encode() + b"\r\n")
            if line.startswith("354"):
                self.taken.append(await reader.readuntil(b"\r\n.\r\n"))
            elif command := await reader.readline():
                self.heard.append(command.decode().strip().partition(" ")[0])
        writer.close()

    async def answer(self, times: int = 1, **options: Any) -> list[ProviderAnswer]:
        server = await asyncio.start_server(self.talk, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        channel = EmailChannel("127.0.0.1", port, "a@b.example", **{"timeout": PATIENCE, **options})
        answers = [await channel.deliver(parcel()) for _ in range(times)]
        await channel.close()
        server.close()
        await server.wait_closed()
        return answers


GREETING: list[str | None] = ["220 hello", "250 hello"]


@pytest.mark.parametrize(
    ("script", "expected", "dead"),
    [
        (["554 no mail here"], RejectedForNow, None),
        (["421 busy"], RejectedForNow, None),
        ([None], RejectedForNow, None),
        (["220 hello", None], RejectedForNow, None),
        ([*GREETING, None], RejectedForNow, None),
        ([*GREETING, "451 later"], RejectedForNow, None),
        ([*GREETING, "550 5.7.1 not you"], RejectedForGood, False),
        ([*GREETING, "530 5.7.0 authentication required"], RejectedForNow, None),
        ([*GREETING, "gibberish"], RejectedForNow, None),
        ([*GREETING, "250 ok", None], RejectedForNow, None),
        ([*GREETING, "250 ok", "550 no such user"], RejectedForGood, True),
        ([*GREETING, "250 ok", "553 no such user"], RejectedForGood, True),
        ([*GREETING, "250 ok", "550 5.1.1 no such user"], RejectedForGood, True),
        ([*GREETING, "250 ok", "550 5.2.1 disabled"], RejectedForGood, True),
        ([*GREETING, "250 ok", "554 5.1.2 no such domain"], RejectedForGood, True),
        ([*GREETING, "250 ok", "550 5.1.8 your sender"], RejectedForGood, False),
        ([*GREETING, "250 ok", "550 5.7.1 relaying denied"], RejectedForGood, False),
        ([*GREETING, "250 ok", "552 mailbox full"], RejectedForGood, False),
        ([*GREETING, "250 ok", "421 5.1.1 bye"], RejectedForNow, None),
        ([*GREETING, "250 ok", "250 ok", "451 not now"], RejectedForNow, None),
        ([*GREETING, "250 ok", "250 ok", "554 no"], RejectedForGood, False),
        ([*GREETING, "250 ok", "250 ok", None], Ambiguous, None),
        ([*GREETING, "250 ok", "250 ok", "354 go", "452 disk full"], RejectedForNow, None),
        ([*GREETING, "250 ok", "250 ok", "354 go", "550 spam"], RejectedForGood, False),
        ([*GREETING, "250 ok", "250 ok", "354 go", "gibberish"], Ambiguous, None),
        ([*GREETING, "250 ok", "250 ok", "354 go", None], Ambiguous, None),
        ([*GREETING, "250 ok", "251 ok", "354 go", "250 ok"], Accepted, None),
    ],
)
async def test_the_step_decides_what_an_answer_means(
    script: list[str | None], expected: type[ProviderAnswer], dead: bool | None
) -> None:
    [answer] = await Server(script).answer()
    assert isinstance(answer, expected)
    if isinstance(answer, RejectedForGood):
        assert answer.address_is_dead is dead


WHOLE: list[str | None] = [*GREETING, "250 ok", "250 ok", "354 go", "250 taken"]


@pytest.mark.parametrize("end", ["421 idle for too long", "452 too many messages", None])
async def test_an_idle_connection_that_ended_is_replaced(end: str | None) -> None:
    server = Server([*WHOLE, end], WHOLE)
    answers = await server.answer(times=2)
    assert [type(a) for a in answers] == [Accepted, Accepted]


async def test_a_server_that_keeps_silent_is_for_now() -> None:
    silent = asyncio.Event()

    async def keep_silent(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await silent.wait()
        writer.close()

    server = await asyncio.start_server(keep_silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    channel = EmailChannel("127.0.0.1", port, "a@b.example", timeout=0.2)
    assert isinstance(await channel.deliver(parcel()), RejectedForNow)
    silent.set()
    await channel.close()
    server.close()
    await server.wait_closed()


async def test_a_server_without_smtputf8_cannot_take_a_non_ascii_address() -> None:
    server = await asyncio.start_server(Server(GREETING).talk, "127.0.0.1", 0)
    channel = EmailChannel("127.0.0.1", server.sockets[0].getsockname()[1], "a@b.example")
    answer = await channel.deliver(parcel("zoë@shop.example"))
    assert isinstance(answer, RejectedForGood)
    assert not answer.address_is_dead
    await channel.close()
    server.close()
    await server.wait_closed()


async def test_a_cancelled_send_leaves_no_half_conversation_behind(
    mailbox: Mailbox, email: Channel
) -> None:
    await email.deliver(parcel("first@shop.example"))
    await mailbox.fault("email", "slow", seconds=60)
    sending = asyncio.create_task(email.deliver(parcel("second@shop.example")))
    await eventually(mailbox.messages, lambda taken: len(taken) == 2)
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert isinstance(await email.deliver(parcel("third@shop.example")), Accepted)
    assert [m["to"][:5] for m in await mailbox.messages()] == ["first", "secon", "third"]


async def test_many_emails_at_once_share_a_few_connections(
    mailbox: Mailbox, email: Channel
) -> None:
    answers = await asyncio.gather(
        *(email.deliver(parcel(f"c{i}@shop.example", key=f"k{i}")) for i in range(100))
    )
    assert all(isinstance(answer, Accepted) for answer in answers)
    assert {m["idempotency_key"] for m in await mailbox.messages()} == {f"k{i}" for i in range(100)}


async def test_an_email_takes_a_few_milliseconds(email: Channel) -> None:
    took = []
    for _ in range(50):
        start = time.perf_counter()
        await email.deliver(parcel(html="<p>Hello</p>"))
        took.append(time.perf_counter() - start)
    assert min(took) < 0.03  # a few in fact, and 40 if it waited for TCP; machines are busy


# Push


async def test_a_push_arrives(mailbox: Mailbox, push: Channel) -> None:
    sent = parcel("token-1", subject="Your cart 🛒", text=f"Still here {FAMILY}")
    answer = await push.deliver(sent)
    assert isinstance(answer, Accepted)
    assert answer.provider_id.startswith("projects/sojourn-dev/messages/")
    [message] = await mailbox.messages()
    assert message == {
        "channel": "push",
        "to": "token-1",
        "subject": "Your cart 🛒",
        "text": f"Still here {FAMILY}",
        "received_at": message["received_at"],
        "idempotency_key": sent.key,
    }
    assert push.idempotency_life is None


@pytest.mark.parametrize(
    ("address", "fault", "expected", "taken"),
    [
        ("gone-1", None, RejectedForGood, 0),
        ("", None, RejectedForGood, 0),
        ("t", "400", RejectedForGood, 0),
        ("t", "401", RejectedForNow, 0),
        ("t", "403", RejectedForGood, 0),  # the simulator's 403 is SENDER_ID_MISMATCH
        ("t", "404", RejectedForNow, 0),
        ("t", "408", RejectedForNow, 0),
        ("t", "413", RejectedForGood, 0),
        ("t", "429", RejectedForNow, 0),
        ("t", "500", Ambiguous, 0),
        ("t", "502", Ambiguous, 0),
        ("t", "503", RejectedForNow, 0),
        ("t", "504", Ambiguous, 0),
        ("t", "drop_after_accept", Ambiguous, 1),
        ("t", "drop_before_accept", Ambiguous, 0),
    ],
)
async def test_what_a_push_providers_answer_means(
    mailbox: Mailbox,
    push: Channel,
    address: str,
    fault: str | None,
    expected: type[ProviderAnswer],
    taken: int,
) -> None:
    if fault:
        await mailbox.fault("push", fault, seconds=7)
    answer = await push.deliver(parcel(address))
    assert isinstance(answer, expected)
    assert len(await mailbox.messages()) == taken
    if isinstance(answer, RejectedForGood):
        assert answer.address_is_dead == address.startswith("gone-")
    if fault in {"429", "503"}:
        assert isinstance(answer, RejectedForNow)
        assert answer.retry_after == timedelta(seconds=7)
    assert isinstance(await push.deliver(parcel("t")), Accepted)


async def test_a_push_without_an_answer_in_time_is_ambiguous(mailbox: Mailbox) -> None:
    await mailbox.fault("push", "slow", seconds=60)
    channel = PushChannel(mailbox.settings.mailbox_url, "p", timeout=2)
    assert isinstance(await channel.deliver(parcel("t")), Ambiguous)
    assert len(await mailbox.messages()) == 1
    await channel.close()


async def test_a_push_provider_that_is_not_there_is_for_now() -> None:
    channel = PushChannel(f"http://127.0.0.1:{free_port()}", "p")
    assert isinstance(await channel.deliver(parcel("t")), RejectedForNow)
    await channel.close()


async def one_answer(raw: bytes, channel: Channel | None = None) -> tuple[ProviderAnswer, bytes]:
    """What the push channel makes of a raw HTTP answer, and the request that it made."""
    heard = b""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal heard
        heard = await reader.readuntil(b"\r\n\r\n")
        writer.write(raw)
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    base = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    channel = channel or PushChannel(base, "a/b", token="secret")
    answer = await channel.deliver(parcel(base if channel.name == "webhook" else "t"))
    await channel.close()
    server.close()
    await server.wait_closed()
    return answer, heard


async def test_what_is_not_the_providers_protocol_still_has_a_meaning() -> None:
    ok = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n"
    answer, heard = await one_answer(ok + b"???")
    assert answer == Accepted("")
    assert heard.startswith(b"POST /v1/projects/a%2Fb/messages:send HTTP/1.1\r\n")
    assert b"authorization: bearer secret" in heard.lower()
    answer, _ = await one_answer(ok + b"?")  # cut off: it was a 200, but the connection broke
    assert isinstance(answer, Ambiguous)
    answer, _ = await one_answer(b"220 mail.example ESMTP\r\n")
    assert isinstance(answer, Ambiguous)
    forbidden = b"HTTP/1.1 403 Forbidden\r\ncontent-length: 12\r\n\r\n"
    answer, _ = await one_answer(forbidden + b'{"error":[]}')
    assert isinstance(answer, RejectedForNow)
    moved = (
        b"HTTP/1.1 308 Moved\r\nlocation: http://elsewhere.example/\r\ncontent-length: 0\r\n\r\n"
    )
    answer, _ = await one_answer(moved)
    assert isinstance(answer, RejectedForNow)
    assert "elsewhere.example" in answer.detail


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("0", timedelta(0)),
        ("120", timedelta(minutes=2)),
        ("9" * 400, timedelta(days=1)),
        ("999999", timedelta(days=1)),
        ("Wed, 21 Oct 2015 07:28:00 GMT", timedelta(0)),
        ("Wed, 21 Oct 2099 07:28:00 GMT", timedelta(days=1)),
        ("-3", None),
        ("²", None),
        ("soon", None),
        ("", None),
    ],
)
def test_retry_after_is_read_or_ignored(header: str, expected: timedelta | None) -> None:
    assert retry_after(httpx.Response(429, headers=[(b"retry-after", header.encode())])) == expected


# Webhook


async def test_a_webhook_arrives_once_for_a_key(mailbox: Mailbox, webhook: Channel) -> None:
    sent = parcel(
        care(mailbox), subject="Call 🛒", text=FAMILY, key="journey/ü 🛒\n/x", data={"score": "2"}
    )
    assert isinstance(await webhook.deliver(sent), Accepted)
    assert isinstance(await webhook.deliver(sent), Accepted)
    [message] = await mailbox.messages()
    assert message["channel"] == "webhook"
    assert (message["to"], message["subject"], message["text"]) == ("care", "Call 🛒", FAMILY)
    assert message["idempotency_key"] == sent.key
    assert webhook.idempotency_life == timedelta(hours=24)


async def test_a_webhook_says_what_standard_webhooks_say() -> None:
    answer, heard = await one_answer(b"HTTP/1.1 204 No Content\r\n\r\n", WebhookChannel())
    assert isinstance(answer, Accepted)
    head = heard.decode().lower()
    assert "webhook-id: journey/abandoned_cart/cus_1/c1/reminder/email" in head
    assert f"webhook-timestamp: {int(SENT_AT.timestamp())}" in head
    assert "content-type: application/json" in head


@pytest.mark.parametrize(
    ("fault", "expected", "taken"),
    [
        ("400", RejectedForGood, 0),
        ("404", RejectedForGood, 0),
        ("410", RejectedForGood, 0),
        ("429", RejectedForNow, 0),
        ("500", RejectedForNow, 0),
        ("503", RejectedForNow, 0),
        ("drop_after_accept", RejectedForNow, 1),
        ("drop_before_accept", RejectedForNow, 0),
    ],
)
async def test_what_a_webhooks_answer_means(
    mailbox: Mailbox, webhook: Channel, fault: str, expected: type[ProviderAnswer], taken: int
) -> None:
    await mailbox.fault("webhook", fault, seconds=7)
    answer = await webhook.deliver(parcel(care(mailbox)))
    assert isinstance(answer, expected)
    assert len(await mailbox.messages()) == taken
    if isinstance(answer, RejectedForGood):
        assert answer.address_is_dead == (fault == "410")
    if fault in {"429", "503"}:
        assert isinstance(answer, RejectedForNow)
        assert answer.retry_after == timedelta(seconds=7)
    # Said again, with the same key: there is one message, whatever went wrong before.
    assert isinstance(await webhook.deliver(parcel(care(mailbox))), Accepted)
    assert len(await mailbox.messages()) == 1


@pytest.mark.parametrize("address", ["care", "ftp://127.0.0.1/x", "http://", "http://a b/", ""])
async def test_what_is_no_url_is_rejected(webhook: Channel, address: str) -> None:
    assert isinstance(await webhook.deliver(parcel(address)), RejectedForGood | RejectedForNow)


def test_endpoints_are_the_configured_ones() -> None:
    endpoints: Endpoints = ConfiguredEndpoints({"care": "https://care.example/x"})
    assert endpoints.address("care") == "https://care.example/x"
    assert endpoints.address("sales") is None
