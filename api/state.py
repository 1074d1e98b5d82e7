"""The API's parts, put together in `api.process` and handed to the routes."""

from dataclasses import dataclass

from temporalio.client import Client

from api.intake import Intake
from api.metrics import Metrics
from api.replay import Replayer
from api.segment import SegmentReader
from infra.database.accept import Acceptor
from infra.database.customers import PostgresCustomers
from infra.database.keys import Keys
from infra.database.pool import Pool
from infra.database.quarantine import Quarantine
from infra.database.reading import Reading


@dataclass(frozen=True, slots=True)
class Parts:
    """What the routes work with."""

    pool: Pool
    keys: Keys
    reader: SegmentReader
    acceptor: Acceptor
    intake: Intake
    quarantine: Quarantine
    replayer: Replayer
    reading: Reading
    customers: PostgresCustomers
    metrics: Metrics
    temporal: Client
