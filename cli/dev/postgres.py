"""The embedded PostgreSQL: its cluster, its socket, its system user."""

import asyncio
import contextlib
import hashlib
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import asyncpg

from cli.dev.child import Child, Command
from cli.dev.extras import postgres_programs
from domain.errors import ConfigurationError

DATABASE = "sojourn"
_PORT = 5432
"""Names the socket; nothing listens on TCP."""
_PLAIN_PATH = re.compile(r"[A-Za-z0-9._/-]{1,85}")
_SYSTEM_USER = "embedded_postgres"
_READY_WITHIN = 120.0
_STILL_IN_USE = "still in use"


class Postgres:
    """A PostgreSQL server on a cluster in the data directory, reached by a unix socket.

    Args:
        data_dir: the data directory, absolute.
        note: hears what was done besides starting, in words.
    """

    def __init__(self, data_dir: Path, note: Callable[[str], None]) -> None:
        self.cluster = data_dir / "postgres"
        self._log = data_dir / "logs" / "postgres.log"
        self._note = note
        self._programs = postgres_programs()
        self._user: tuple[int, int] | None = None
        self._socket_dir = self._choose_socket_dir()

    @property
    def url(self) -> str:
        """The database's URL."""
        return self._url(DATABASE)

    def _url(self, database: str) -> str:
        return f"postgresql://postgres@/{database}?host={self._socket_dir}&port={_PORT}"

    def _choose_socket_dir(self) -> Path:
        """The cluster itself, or a short path: sockets take some 100 bytes, URLs no blanks."""
        if _PLAIN_PATH.fullmatch(str(self.cluster)):
            return self.cluster
        name = hashlib.sha256(os.fsencode(self.cluster)).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"sojourn-{os.getuid()}-{name}"

    def check_version(self) -> None:
        """Check that this PostgreSQL can read the cluster, if there is one.

        Raises:
            ConfigurationError: another major version wrote it.
        """
        try:
            theirs = (self.cluster / "PG_VERSION").read_text().strip()
        except FileNotFoundError:
            return
        except OSError as error:
            raise ConfigurationError(f"{self.cluster} cannot be read: {error.strerror}.") from None
        shown = subprocess.run(  # noqa: S603 -- our own program
            [self._programs / "postgres", "--version"], capture_output=True, text=True, check=False
        ).stdout
        ours = re.search(r"\d+", shown)
        if ours is None:
            raise ConfigurationError(f"{self._programs / 'postgres'} does not run on this machine.")
        if theirs != ours[0]:
            raise ConfigurationError(
                f"{self.cluster} was written by PostgreSQL {theirs} and this is {ours[0]}: "
                "use another SOJOURN_DATA_DIR, or move that one away to start afresh."
            )

    async def start(self, on_start: Callable[[Child], None]) -> Child:
        """Make the cluster if there is none, start the server, wait until it answers.

        Args:
            on_start: hears of the child as soon as there is one.

        Raises:
            ConfigurationError: it does not start; its own last words say why.
        """
        await asyncio.to_thread(self._prepare)
        if not (self.cluster / "PG_VERSION").exists():
            await self._make_cluster()
        deadline = time.monotonic() + _READY_WITHIN
        while True:
            child = await Child.start(self._command(), lambda _line: None)
            on_start(child)
            if await self._answers(child, deadline):
                break
            if child.returncode is None:
                raise ConfigurationError(f"PostgreSQL does not answer: see {self._log}.")
            words = child.last_lines()
            # The orphans of a killed server need a moment to notice.
            if _STILL_IN_USE not in " ".join(words) or time.monotonic() > deadline:
                raise ConfigurationError(f"PostgreSQL does not start: {_last_words(words)}")
            await asyncio.sleep(0.5)
        await self._make_database()
        return child

    def _prepare(self) -> None:
        """Make directories, and hand them to the system user where we are root."""
        if os.geteuid() == 0:
            self._user = self._system_user()
            _let_pass(self._programs, self._note)
            _let_pass(self.cluster, self._note)
        if self._socket_dir == self.cluster:
            return
        try:
            self._socket_dir.mkdir(mode=0o700, exist_ok=True)
            owner = self._socket_dir.stat().st_uid
            if owner not in {os.geteuid(), self._user[0] if self._user else None}:
                raise ConfigurationError(
                    f"{self._socket_dir} belongs to somebody else, and the path of the data "
                    "directory is too long or too unusual for a socket: "
                    "set SOJOURN_DATA_DIR to a short, plain path."
                )
            self._give(self._socket_dir)
        except OSError as error:
            raise ConfigurationError(f"{self._socket_dir}: {error.strerror}.") from None

    def _system_user(self) -> tuple[int, int]:
        """PostgreSQL refuses to run as root: whoever owns the cluster, or a user made for it."""
        if self.cluster.exists() and (owner := self.cluster.stat()).st_uid != 0:
            return owner.st_uid, owner.st_gid
        try:
            entry = pwd.getpwnam(_SYSTEM_USER)
        except KeyError:
            add = shutil.which("useradd", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
            if add is None:
                raise ConfigurationError(
                    "PostgreSQL refuses to run as root and no user could be made for it: "
                    "run this as an ordinary user, or set SOJOURN_DATABASE_URL."
                ) from None
            subprocess.run(  # noqa: S603 -- as above
                [add, "--system", "--shell", "/usr/sbin/nologin", _SYSTEM_USER],
                check=False,
                capture_output=True,
            )
            entry = pwd.getpwnam(_SYSTEM_USER)
            self._note(f"made the system user {_SYSTEM_USER}, PostgreSQL refuses to run as root")
        return entry.pw_uid, entry.pw_gid

    def _give(self, path: Path) -> None:
        if self._user is not None:
            os.chown(path, *self._user)

    async def _make_cluster(self) -> None:
        """Make the cluster beside its place and move it there, so that it is whole or absent."""
        new = self.cluster.with_suffix(".new")
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(mode=0o700)
        self._give(new)
        argv = [str(self._programs / "initdb"), "-D", str(new), "-U", "postgres", "--auth=trust"]
        argv += ["--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        heard: list[str] = []
        command = Command(
            [*argv, "--locale=C"], _environment(), self.cluster.parent, user=self._user
        )
        child = await Child.start(command, heard.append)
        try:
            code = await child.wait()
        except asyncio.CancelledError:
            hurry = asyncio.Event()
            hurry.set()
            await child.end(hurry)
            raise
        if code != 0:
            raise ConfigurationError(f"PostgreSQL cannot make its files: {_last_words(heard)}")
        if self.cluster.exists():
            self.cluster.rmdir()
        new.rename(self.cluster)

    def _command(self) -> Command:
        options = {
            "listen_addresses": "",
            "unix_socket_directories": f'"{self._socket_dir}"',
            "log_timezone": "UTC",
            "timezone": "UTC",
            "log_checkpoints": "off",
        }
        argv = [str(self._programs / "postgres"), "-D", str(self.cluster), "-p", str(_PORT)]
        for name, value in options.items():
            argv += ["-c", f"{name}={value}"]
        return Command(
            argv,
            _environment(),
            self.cluster.parent,
            log=self._log,
            user=self._user,
            outlives=True,
            end_with=signal.SIGINT,  # its fast shutdown
            harder=(signal.SIGQUIT,),
        )

    async def _answers(self, child: Child, deadline: float) -> bool:
        over = asyncio.ensure_future(child.wait())
        try:
            while not over.done() and time.monotonic() < deadline:
                with contextlib.suppress(OSError, asyncpg.PostgresError):
                    await (await asyncpg.connect(self._url("postgres"), timeout=5)).close()
                    return True
                await asyncio.wait({over}, timeout=0.05)
            return False
        finally:
            over.cancel()

    async def _make_database(self) -> None:
        connection = await asyncpg.connect(self._url("postgres"))
        try:
            with contextlib.suppress(asyncpg.DuplicateDatabaseError):
                await connection.execute(f'CREATE DATABASE "{DATABASE}"')
        finally:
            await connection.close()

    def tidy(self) -> None:
        """Remove the socket's own directory, if it has one."""
        if self._socket_dir != self.cluster:
            with contextlib.suppress(OSError):
                for left in self._socket_dir.glob(".s.PGSQL.*"):  # by a server that was killed
                    left.unlink()
                self._socket_dir.rmdir()


async def check_reachable(url: str) -> None:
    """Check that a database that is not ours answers.

    Raises:
        ConfigurationError: it does not, or refuses us.
    """
    try:
        await (await asyncpg.connect(re.sub(r"^(\w+)\+\w+:", r"\1:", url), timeout=10)).close()
    except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        why = str(error) or type(error).__name__
        raise ConfigurationError(
            f"the database of SOJOURN_DATABASE_URL cannot be used: {why}."
        ) from None


def _environment() -> dict[str, str]:
    """Ours without PG*: a PGPORT meant for another server would move this one."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return env | {"LC_ALL": "C"}


def _let_pass(path: Path, note: Callable[[str], None]) -> None:
    """Let other users pass through the directories above `path` (as root only)."""
    for above in path.parents:
        mode = above.stat().st_mode
        if not mode & 0o001:
            above.chmod(mode | 0o011)
            note(f"let other users pass through {above}, for PostgreSQL's own user")


def _last_words(lines: list[str]) -> str:
    told = [line for line in lines if re.search("FATAL|PANIC|error|could not", line)] or lines
    text = told[-1] if told else "it said nothing"
    return re.sub(r"^.*?(FATAL|PANIC|error):\s*", "", text).rstrip(".") + "."
