"""Starts every part, keeps ours running, ends them in order."""

import asyncio
import contextlib
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from temporalio.client import Client

from cli.dev import preflight, run_file, temporal
from cli.dev.child import Child, Command
from cli.dev.parts import Part, api_url, command, environment, wait_for_page, wait_for_port
from cli.dev.postgres import Postgres, check_reachable
from cli.dev.terminal import Terminal
from cli.dev.welcome import welcome
from cli.signals import SAME_SIGNAL
from domain.errors import ConfigurationError, SojournError
from infra.settings import Settings

Play = Callable[[Terminal], Awaitable[bool]]
"""What is done once everything is ready; answers whether it went well."""

_READY_WITHIN = 120.0
_CANNOT_START = 2
_FIRST_TRIES = 3
_BACKOFF = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
_STEADY = 30.0
"""Seconds after which a restarted part has earned a quick restart again."""
_END_ORDER = ("worker", "api", "mailbox", "temporal", "postgres")


class PartFailedError(SojournError):
    """A part cannot be kept running; it has been said why."""


class Supervisor:
    """All parts of one data directory in one terminal.

    Args:
        settings: what to start, and where.
        play: done when everything is ready.
        leave: whether to end after `play`.
    """

    def __init__(
        self, settings: Settings, *, play: Play | None = None, leave: bool = False
    ) -> None:
        self._settings = settings
        self._play = play
        self._leave = leave
        self._terminal = Terminal()
        self._children: dict[str, Child] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._ending = False
        self._told_at = 0.0
        self._hurry = asyncio.Event()
        self._end: asyncio.Future[int]
        self._postgres: Postgres | None = None
        self._data_dir: Path
        self._run_file: run_file.RunFile

    async def run(self) -> int:
        """Start, stay, end.

        Returns:
            The exit code: 0 when told to end, 1 when a part could not be kept running.

        Raises:
            ConfigurationError: something stands in the way of starting.
        """
        self._end = asyncio.get_running_loop().create_future()
        self._data_dir = preflight.prepare_data_dir(self._settings)
        lock = preflight.Lock(self._data_dir)
        lock.take()
        try:
            self._run_file = run_file.RunFile(self._data_dir)
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                asyncio.get_running_loop().add_signal_handler(number, self._told_to_end)
            await asyncio.to_thread(self._end_leftovers)
            preflight.check_ports(preflight.wanted_ports(self._settings))
            if self._settings.database_url is None:
                self._postgres = Postgres(
                    self._data_dir, lambda text: self._terminal.say("postgres", text)
                )
                self._postgres.check_version()
            try:
                self._watch(self._end_with_terminal())
                self._watch(self._work())
                return await self._end
            finally:
                await self._end_everything()
        finally:
            lock.release()

    def _told_to_end(self) -> None:
        now = time.monotonic()
        if self._ending or self._end.done():
            if now - self._told_at < SAME_SIGNAL:
                return  # make passes on what the terminal has sent us already
            if not self._hurry.is_set():
                self._terminal.say("sojourn", "told again: hurrying")
            self._hurry.set()
        else:
            self._told_at = now
            self._terminal.say("sojourn", "ending")
            self._end.set_result(0)

    async def _end_with_terminal(self) -> None:
        await self._terminal.gone()
        self._finish(0)

    def _watch(self, work: Awaitable[None]) -> None:
        """Run in the background; what goes wrong there ends everything."""

        async def watched() -> None:
            try:
                await work
            except Exception as error:  # noqa: BLE001 -- passed on to whoever awaits the end
                self._fail(error)

        task = asyncio.create_task(watched())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _fail(self, error: Exception) -> None:
        while isinstance(error, ExceptionGroup):
            error = error.exceptions[0]
        if isinstance(error, PartFailedError):
            self._finish(1)
        elif not self._end.done():
            self._end.set_exception(error)

    def _finish(self, code: int) -> None:
        if not self._end.done():
            self._end.set_result(code)

    # Starting

    def _end_leftovers(self) -> None:
        found = run_file.RunFile(self._data_dir).leftovers()
        cluster = self._data_dir / "postgres"
        server, stale = run_file.postmaster(cluster)
        if server is not None and all(one.process.pid != server.pid for one in found):
            found.append(run_file.Leftover("postgres", server))
        for one in found:
            run_file.end_process(one.name, one.process)
            self._terminal.say(
                one.name, f"ended pid {one.process.pid}, which an earlier run left behind", "yellow"
            )
        if stale:
            (cluster / "postmaster.pid").unlink(missing_ok=True)
            self._terminal.say("postgres", "removed the note of a server that is gone", "yellow")

    async def _work(self) -> None:
        settings = self._settings
        self._terminal.say("sojourn", f"starting on {self._data_dir}")
        mailbox = Part(
            "mailbox", command("mailbox", self._environment(database_url="")), self._mail_ready
        )
        async with asyncio.TaskGroup() as group:
            client = group.create_task(self._start_temporal())
            database_url = group.create_task(self._start_database())
            group.create_task(self._start_part(mailbox))
        env = self._environment(database_url.result())
        async with asyncio.TaskGroup() as group:
            for part in (
                Part("api", command("api", env), self._api_ready),
                Part("worker", command("worker", env), self._worker_ready(client.result())),
            ):
                group.create_task(self._start_part(part))
        shown = welcome(settings, self._terminal, database_url.result(), to_try=self._play is None)
        self._terminal.write(shown)
        if self._play is not None:
            went_well = await self._play(self._terminal)
            if self._leave:
                self._finish(0 if went_well else 1)

    def _environment(self, database_url: str) -> dict[str, str]:
        return environment(
            self._settings, self._data_dir, database_url, colours=self._terminal.colours
        )

    async def _start_temporal(self) -> Client:
        begun = time.monotonic()
        if self._settings.temporal_address is None:
            server = temporal.server(self._settings, self._data_dir)
            await self._spawn("temporal", server)
            self._watch(self._must_live("temporal"))
        else:
            self._terminal.say("temporal", f"using {self._settings.temporal_address}")
        try:
            client = await asyncio.wait_for(temporal.connect(self._settings), _READY_WITHIN)
        except TimeoutError:
            raise ConfigurationError(
                f"Temporal at {self._settings.temporal_target} does not answer."
            ) from None
        self._say_ready("temporal", begun)
        return client

    async def _start_database(self) -> str:
        from infra.database.keys import ensure_development_key  # noqa: PLC0415 -- slow to import
        from infra.database.migrate import upgrade  # noqa: PLC0415

        begun = time.monotonic()
        server = self._postgres
        if server is not None:
            await server.start(lambda child: self._begun("postgres", child))
            self._watch(self._must_live("postgres"))
            url = server.url
            self._say_ready("postgres", begun)
        else:
            url = self._settings.required_database_url()
            await check_reachable(url)
            self._terminal.say("postgres", "using SOJOURN_DATABASE_URL")
        begun = time.monotonic()
        await asyncio.to_thread(upgrade, url)
        await ensure_development_key(url)
        self._say_ready("tables", begun)
        return url

    def _say_ready(self, name: str, begun: float) -> None:
        self._terminal.say(name, f"ready ({time.monotonic() - begun:.1f} s)", "green")

    async def _api_ready(self, _since: float) -> None:
        await wait_for_page(f"{api_url(self._settings)}/health/ready")

    async def _mail_ready(self, _since: float) -> None:
        await wait_for_page(f"{self._settings.mailbox_url}/messages")
        await wait_for_port(self._settings.smtp_port)

    def _worker_ready(self, client: Client) -> Callable[[float], Awaitable[None]]:
        return lambda since: temporal.wait_for_worker(client, since)

    # Keeping

    async def _spawn(self, name: str, how: Command) -> Child:
        child = await Child.start(how, lambda line: self._terminal.relay(name, line))
        self._begun(name, child)
        return child

    def _begun(self, name: str, child: Child) -> None:
        self._children[name] = child
        self._run_file.begun(name, child.pid)

    async def _must_live(self, name: str) -> None:
        """Wait for a store to die, which nothing here survives."""
        child = self._children[name]
        await child.wait()
        self._run_file.ended(name)
        if not self._ending:
            self._say_died(name, child)
            self._terminal.say("sojourn", f"cannot go on without {name}", "red")
            raise PartFailedError

    def _say_died(self, name: str, child: Child) -> None:
        self._terminal.say(name, f"died: {child.how_it_ended()}; it said last:", "red")
        self._terminal.quote(name, child.last_lines())

    async def _start_part(self, part: Part) -> None:
        """Start a part and wait until it is ready; from then on it is kept running."""
        ready = asyncio.Event()
        self._watch(self._keep(part, ready))
        try:
            await asyncio.wait_for(ready.wait(), _READY_WITHIN)
        except TimeoutError:
            self._terminal.say(part.name, f"is not ready after {_READY_WITHIN:.0f} s", "red")
            self._terminal.quote(part.name, self._children[part.name].last_lines())
            raise PartFailedError from None

    async def _keep(self, part: Part, first_ready: asyncio.Event) -> None:
        failures = 0
        while not self._ending:
            begun = time.monotonic()
            child = await self._spawn(part.name, part.command)
            announce = asyncio.create_task(self._announce(part, child, first_ready))
            try:
                code = await child.wait()
            finally:
                announce.cancel()
            self._run_file.ended(part.name)
            if self._ending or self._end.done():
                return
            if code == _CANNOT_START and not first_ready.is_set():
                raise ConfigurationError(_sentence(child))
            self._say_died(part.name, child)
            failures = 0 if time.monotonic() - begun > _STEADY else failures + 1
            if failures >= _FIRST_TRIES and not first_ready.is_set():
                self._terminal.say(part.name, "does not start", "red")
                raise PartFailedError
            pause = _BACKOFF[min(max(failures - 1, 0), len(_BACKOFF) - 1)]
            self._terminal.say(part.name, f"starting it again in {pause} s", "yellow")
            await asyncio.sleep(pause)

    async def _announce(self, part: Part, child: Child, first_ready: asyncio.Event) -> None:
        begun = time.monotonic()
        await part.ready(child.started)
        if child.returncode is None:
            self._say_ready(part.name, begun)
            first_ready.set()

    # Ending

    async def _end_everything(self) -> None:
        self._ending = True
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for name in _END_ORDER:
            child = self._children.get(name)
            if child is None or child.returncode is not None:
                continue
            begun = time.monotonic()
            asked = await child.end(self._hurry)
            with contextlib.suppress(OSError):
                self._run_file.ended(name)
            how = "ended" if asked else "killed"
            self._terminal.say(name, f"{how} ({time.monotonic() - begun:.1f} s)")
        if self._postgres is not None:
            self._postgres.tidy()
        elif self._settings.database_url is not None:
            await self._withdraw_key(self._settings.required_database_url())

    async def _withdraw_key(self, url: str) -> None:
        """The key `dev` must not stay behind in a database that is not ours."""
        from infra.database.keys import withdraw_development_key  # noqa: PLC0415 -- as above

        try:
            await withdraw_development_key(url)
        except (OSError, SojournError) as error:
            still = f"the key dev is still there ({error}): `sojourn keys revoke dev`"
            self._terminal.say("postgres", still, "red")


def _sentence(child: Child) -> str:
    lines = [line for line in child.last_lines() if line]
    return lines[-1].removeprefix("sojourn: ") if lines else "a part refused to start."
