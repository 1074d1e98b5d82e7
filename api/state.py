"""The API's parts, put together in `api.process` and handed to the routes."""

from collections.abc import Mapping
from dataclasses import dataclass

from temporalio.client import Client

from api.admission import Admission
from api.cloudevents import CloudEventReader
from api.hooks import Hook, HookReader
from api.intake import Intake
from api.metrics import Metrics
from api.replay import Replayer
from api.segment import SegmentReader
from infra.answering import Answering
from infra.database.accept import Acceptor
from infra.database.customers import PostgresCustomers
from infra.database.figures import Figures
from infra.database.grants import Grant, Keys
from infra.database.pool import Pool
from infra.database.quarantine import Quarantine
from infra.database.reading import Reading
from journeys.catalog import Catalog


@dataclass(frozen=True, slots=True)
class Parts:
    """What the routes work with."""

    pool: Pool
    catalog: Catalog
    keys: Keys
    admission: Admission
    reader: SegmentReader
    cloudevents: CloudEventReader
    hooks: Mapping[str, Hook]
    hook_grants: Mapping[str, Grant]
    hook_reader: HookReader
    acceptor: Acceptor
    intake: Intake
    quarantine: Quarantine
    replayer: Replayer
    reading: Reading
    customers: PostgresCustomers
    answering: Answering
    figures: Figures
    metrics: Metrics
    temporal: Client
