"""The development mailbox: what it takes, what it shows, and how it fails on request."""

import asyncio
import smtplib
from collections.abc import AsyncIterator
from email import policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from cli.mailbox import MessageStore, StoredMessage, create_app, serve
from cli.mailbox.smtp import read_message
from domain.errors import ConfigurationError
from infra.settings import Settings
from tests.mailbox import Mailbox, running_mailbox
from tests.parts import free_port
from tests.patience import PATIENCE, eventually

XSS = "<script>alert('1')</script>\"><img src=x onerror=alert(2)>"
SEND = "/v1/projects/p/messages:send"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def mailbox(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Mailbox]:
    async with running_mailbox(tmp_path_factory.mktemp("mailbox")) as running:
        yield running


@pytest_asyncio.fixture(autouse=True, loop_scope="session")
async def _empty(mailbox: Mailbox) -> None:
    await mailbox.clear()


def smtp(mailbox: Mailbox, content: bytes, *recipients: str) -> None:
    with smtplib.SMTP("127.0.0.1", mailbox.settings.smtp_port, timeout=PATIENCE) as client:
        client.sendmail("shop@shop.example", recipients or ["zoe@shop.example"], content)


def stored(text: str, key: str | None = None) -> StoredMessage:
    return StoredMessage.now("push", "t", "s", text, key)


async def test_any_mail_program_can_send_to_it(mailbox: Mailbox) -> None:
    message = EmailMessage(policy=policy.SMTP)
    message["Subject"] = "Hello"
    message["Message-ID"] = "<m1@shop.example>"
    message.set_content("Plain")
    await asyncio.to_thread(smtp, mailbox, message.as_bytes(), "a@x.example", "b@x.example")
    taken = await mailbox.messages()
    assert [(m["to"], m["subject"], m["text"]) for m in taken] == [
        ("a@x.example", "Hello", "Plain"),
        ("b@x.example", "Hello", "Plain"),
    ]
    assert taken[0]["idempotency_key"] == "<m1@shop.example>"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no header at all",
        b"Subject: =?utf-8?b?////?=\r\n\r\n\xff\xfe",
        b"Content-Type: text/plain; charset=nonsense\r\n\r\nhello",
        b"Content-Type: text/plain; charset=utf-8\r\n\r\n\xff\xfe",
        b"Content-Type: multipart/alternative; boundary=x\r\n\r\n--x\r\n",
        b"Content-Type: ;;;\r\nMessage-ID: <\r\n\r\nhello",
        b"Subject: \xf0\x9f\x9b\x92\r\nContent-Transfer-Encoding: base64\r\n\r\n!!!",
    ],
)
async def test_whatever_was_taken_is_listed(mailbox: Mailbox, content: bytes) -> None:
    await asyncio.to_thread(smtp, mailbox, content)
    [message] = await mailbox.messages()
    assert message["to"] == "zoe@shop.example"


def test_what_the_parser_cannot_read_is_shown_raw() -> None:
    message = read_message("a@x.example", b"Content-Type: text/plain; charset=nonsense\n\nhello")
    assert "hello" in message.text


async def test_hostile_words_stay_words(mailbox: Mailbox) -> None:
    message = EmailMessage(policy=policy.SMTP)
    message["Subject"] = XSS
    message.set_content(XSS)
    message.add_alternative(f"<p>{XSS}</p>", subtype="html")
    await asyncio.to_thread(smtp, mailbox, message.as_bytes())
    body = {"message": {"token": XSS, "notification": {"title": XSS, "body": XSS}}}
    await mailbox.http.post(SEND, json=body)

    response = await mailbox.http.get("/messages")
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-content-type-options"] == "nosniff"
    for taken in response.json():
        assert (taken["subject"], taken["text"]) == (XSS, XSS)

    first = response.headers["x-first-number"]
    html = await mailbox.http.get(f"/messages/{first}/html")
    assert XSS in html.text
    rules = html.headers["content-security-policy"]
    assert "sandbox" in rules
    assert "allow-scripts" not in rules
    assert "default-src 'none'" in rules


async def test_the_page_needs_nothing_from_elsewhere(mailbox: Mailbox) -> None:
    page = await mailbox.http.get("/")
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "innerHTML" not in page.text
    assert "http://" not in page.text
    assert "https://" not in page.text


async def test_an_unchanged_list_is_not_sent_again(mailbox: Mailbox) -> None:
    first = await mailbox.http.get("/messages")
    asked = {"if-none-match": first.headers["etag"]}
    assert (await mailbox.http.get("/messages", headers=asked)).status_code == 304
    await mailbox.http.post("/webhooks/care", json={"subject": "s", "text": "t"})
    assert (await mailbox.http.get("/messages", headers=asked)).status_code == 200


async def test_messages_can_be_filtered_and_emptied(mailbox: Mailbox) -> None:
    for token in ("a", "b"):
        await mailbox.http.post(SEND, json={"message": {"token": token}})
    await mailbox.http.post("/webhooks/a", json={"subject": "s"})
    assert [m["to"] for m in await mailbox.messages()] == ["a", "b", "a"]
    assert [m["channel"] for m in await mailbox.messages(to="a")] == ["push", "webhook"]
    assert [m["to"] for m in await mailbox.messages(channel="push")] == ["a", "b"]
    assert len(await mailbox.messages(to="a", channel="push")) == 1
    assert (await mailbox.http.delete("/messages")).status_code == 204
    assert await mailbox.messages() == []
    number = (await mailbox.http.get("/messages")).headers["x-first-number"]
    assert (await mailbox.http.get(f"/messages/{number}/html")).status_code == 404
    assert (await mailbox.http.get("/messages/-1/html")).status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"[]",
        b'"message"',
        b"[" * 5000,
        b'{"message": null}',
        b'{"message": {}}',
        b'{"message": {"token": 5}}',
        b'{"message": {"token": "t", "notification": "x"}}',
        b'{"message": {"token": "t", "data": {"n": 1}}}',
    ],
)
async def test_a_malformed_push_gets_the_providers_error(mailbox: Mailbox, body: bytes) -> None:
    response = await mailbox.http.post(SEND, content=body)
    assert response.status_code == 400
    error = response.json()["error"]
    assert (error["code"], error["status"]) == (400, "INVALID_ARGUMENT")
    assert error["details"][0]["errorCode"] == "INVALID_ARGUMENT"
    assert await mailbox.messages() == []


async def test_a_token_that_is_gone_is_unregistered(mailbox: Mailbox) -> None:
    response = await mailbox.http.post(SEND, json={"message": {"token": "gone-1"}})
    assert response.status_code == 404
    assert response.json()["error"]["details"][0]["errorCode"] == "UNREGISTERED"
    assert await mailbox.messages() == []


@pytest.mark.parametrize("body", [b"", b"\xff", b"plain", b"[1]", b'{"subject": 5}'])
async def test_a_webhook_takes_any_body(mailbox: Mailbox, body: bytes) -> None:
    assert (await mailbox.http.post("/webhooks/care", content=body)).status_code == 204
    assert len(await mailbox.messages()) == 1


async def test_a_webhook_id_is_listed_once_for_a_name(mailbox: Mailbox) -> None:
    for name in ("a", "a", "b"):
        headers = {"webhook-id": "k%20%F0%9F%9B%92"}
        answer = await mailbox.http.post(f"/webhooks/{name}", json={}, headers=headers)
        assert answer.status_code == 204
    taken = await mailbox.messages()
    assert [m["to"] for m in taken] == ["a", "b"]
    assert taken[0]["idempotency_key"] == "k 🛒"
    for _ in range(2):  # without an id each is its own
        await mailbox.http.post("/webhooks/a", json={})
    assert len(await mailbox.messages()) == 4
    assert (await mailbox.http.post("/webhooks/gone-1", json={})).status_code == 410


@pytest.mark.parametrize(
    "wish",
    [
        {"channel": "email", "fault": "429"},
        {"channel": "push", "fault": "550_rcpt"},
        {"channel": "push", "fault": "200"},
        {"channel": "push", "fault": "nonsense"},
        {"channel": "fax", "fault": "500"},
        {"channel": "push", "fault": "500", "times": 0},
        {"channel": "push", "fault": "slow", "seconds": -1},
        {"channel": "push", "fault": "500", "typo": 1},
    ],
)
async def test_a_fault_that_does_not_exist_is_refused(
    mailbox: Mailbox, wish: dict[str, Any]
) -> None:
    assert (await mailbox.http.post("/faults", json=wish)).status_code == 422
    assert (await mailbox.http.get("/faults")).json() == []


async def test_faults_strike_in_order_as_often_as_asked(mailbox: Mailbox) -> None:
    await mailbox.fault("push", "500", times=2)
    await mailbox.fault("push", "429", seconds=2.5)
    await mailbox.fault("webhook", "503")
    body = {"message": {"token": "t"}}
    answers = [await mailbox.http.post(SEND, json=body) for _ in range(4)]
    assert [a.status_code for a in answers] == [500, 500, 429, 200]
    assert answers[2].headers["retry-after"] == "3"
    assert answers[2].json()["error"]["status"] == "RESOURCE_EXHAUSTED"
    [left] = (await mailbox.http.get("/faults")).json()
    assert (left["channel"], left["fault"], left["times"]) == ("webhook", "503", 1)
    assert (await mailbox.http.delete("/faults")).status_code == 204
    assert (await mailbox.http.get("/faults")).json() == []


async def test_dropped_connections_get_no_byte_of_an_answer(mailbox: Mailbox) -> None:
    for fault, taken in (("drop_before_accept", 0), ("drop_after_accept", 1)):
        await mailbox.fault("push", fault)
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            await mailbox.http.post(SEND, json={"message": {"token": "t"}})
        assert len(await mailbox.messages()) == taken


async def test_a_slow_answer_comes_after_the_message_was_taken(mailbox: Mailbox) -> None:
    await mailbox.fault("webhook", "slow", seconds=4)
    posting = asyncio.create_task(mailbox.http.post("/webhooks/care", json={}))
    await eventually(mailbox.messages)
    assert len(await mailbox.messages()) == 1
    assert not posting.done()
    assert (await posting).status_code == 204


async def test_messages_outlive_a_restart(tmp_path: Path) -> None:
    async with running_mailbox(tmp_path) as first:
        await first.http.post("/webhooks/care", json={}, headers={"webhook-id": "k"})
        before = await first.messages()
    async with running_mailbox(tmp_path) as second:
        assert await second.messages() == before
        await second.http.post("/webhooks/care", json={}, headers={"webhook-id": "k"})
        assert await second.messages() == before


def test_a_torn_last_line_is_skipped(tmp_path: Path) -> None:
    path = tmp_path / "new" / "mailbox.jsonl"
    store = MessageStore(path)
    store.add(stored("one"))
    store.close()
    with path.open("ab") as file:
        file.write(b'{"channel": "push", "to": "t", "subj')
    for expected in (["one", "two"], ["one", "two", "three"]):
        store = MessageStore(path)
        store.add(stored(expected[-1]))
        assert [m.text for m in store.messages()] == expected
        store.close()


def test_the_newest_are_kept_and_numbers_stay(tmp_path: Path) -> None:
    path = tmp_path / "mailbox.jsonl"
    store = MessageStore(path, keep=3)
    for n in range(20):
        store.add(stored(str(n)))
    assert [m.text for m in store.messages()] == ["17", "18", "19"]
    assert store.first_number == 17
    assert store.get(18) == store.messages()[1]
    assert store.get(16) is None
    assert len(path.read_bytes().splitlines()) <= 6
    store.clear()
    store.add(stored("20"))
    assert store.first_number == 20
    store.close()
    store = MessageStore(path, keep=3)
    assert [m.text for m in store.messages()] == ["20"]
    store.close()


async def test_the_app_alone_works_too(tmp_path: Path) -> None:
    store = MessageStore(tmp_path / "mailbox.jsonl")
    transport = httpx.ASGITransport(create_app(store))
    async with httpx.AsyncClient(transport=transport, base_url="http://mailbox") as http:
        await http.post("/webhooks/care", json={"subject": "s"})
        assert [m["subject"] for m in (await http.get("/messages")).json()] == ["s"]
    store.close()


@pytest.mark.parametrize("port", ["smtp_port", "mailbox_port"])
async def test_a_port_in_use_is_one_sentence(mailbox: Mailbox, tmp_path: Path, port: str) -> None:
    taken = getattr(mailbox.settings, port)
    ports = {"smtp_port": free_port(), "mailbox_port": free_port(), port: taken}
    settings = Settings(data_dir=tmp_path, **ports)
    with pytest.raises(ConfigurationError, match=rf"{taken} is in use.*SOJOURN_{port.upper()}"):
        await serve(settings)


async def test_a_data_directory_that_cannot_be_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    settings = Settings(
        data_dir=tmp_path / "file" / "data", smtp_port=free_port(), mailbox_port=free_port()
    )
    with pytest.raises(ConfigurationError, match="SOJOURN_DATA_DIR"):
        await serve(settings)


async def test_it_ends_at_once_in_the_middle_of_conversations(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    async with running_mailbox(tmp_path) as running:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.settings.smtp_port)
        assert (await reader.readline()).startswith(b"220")
        await running.fault("webhook", "slow", seconds=60)
        posting = asyncio.create_task(running.http.post("/webhooks/care", json={}))
        await eventually(running.messages)
        started = loop.time()
    assert loop.time() - started < 30  # and not sixty
    assert await reader.read() == b""
    writer.close()
    with pytest.raises(httpx.HTTPError):
        (await posting).raise_for_status()
