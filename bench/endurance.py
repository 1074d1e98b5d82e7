"""With a million events in the table: how soon events are acknowledged, and whether that lasts."""

import json
from collections.abc import Sequence
from statistics import linear_regression, median, quantiles

from bench.accepting import CUSTOMERS
from bench.load import Kind, Load, Pace, run, run_pace
from bench.plan import Measured, Plan
from bench.report import Figure
from bench.stage import Stage, stage

EVENTS = 1_000_000
_KIND = Kind("/v1/track", "page_seen", CUSTOMERS)

# As the API would have stored them, a year's worth, spread evenly over the customers.
_FILL = """
insert into event (
    source_id, message_id, customer_id, type, name, occurred_at, received_at, properties)
select $1, 'before-' || n, c.id, 'track', 'page_seen', at, at, $3::text::jsonb
from (select id, row_number() over () - 1 as place from customer) c
    join generate_series(0, $2 - 1) n on n % $4 = c.place,
    lateral (select now() - (1 - n::float / $2) * interval '365 days' as at) t
"""


async def measure(plan: Plan) -> Measured:
    """Measure the maximum window by window, then the acknowledgement at half of it."""
    window = 10.0 if plan.quick else 30.0
    windows = 6 if plan.quick else 10
    rates: list[float] = []
    async with stage() as parts:
        plan.say(f"endurance: storing {EVENTS:,} events")
        await _fill(parts)
        await parts.start("api", "bench.processes", "api")
        port = parts.settings.api_port
        await run(Load(port, [_KIND], turns=1, seconds=3))
        for number in range(windows):
            plan.say(f"endurance, {number + 1} of {windows}")
            load = Load(port, [_KIND], turns=1, seconds=window)
            rates += (await run(load)).rates
        await parts.quiet()
        half = median(rates) / 2
        plan.say(f"endurance: acknowledgements at {half:,.0f}/s")
        took = await run_pace(Pace(port, _KIND, half, window))
    return Measured([_slope(rates, window), *_acknowledged(took, half)])


async def _fill(parts: Stage) -> None:
    await parts.post([parts.event(number, "page_seen", {}) for number in range(CUSTOMERS)])
    source = await parts.pool.fetchval("select source_id from api_key limit 1")
    content = json.dumps({"sku": "lamp-1", "total": 81.5})
    await parts.pool.execute(_FILL, source, EVENTS, content, CUSTOMERS, timeout=300)
    await parts.pool.execute("vacuum analyze event", timeout=300)


def _slope(rates: Sequence[float], window: float) -> Figure:
    """The trend over the whole of the time, as a share of the median rate."""
    minutes = [place * window / 60 for place in range(len(rates))]
    trend = linear_regression(minutes, rates).slope * (minutes[-1] - minutes[0])
    return Figure(
        f"trend of single events accepted over {len(rates) * window / 60:g} min",
        100 * trend / median(rates),
        "%",
        tuple(rates),
        against="median /s",
        against_value=median(rates),
        at_least=-10,
    )


def _acknowledged(took: Sequence[float], rate: float) -> tuple[Figure, Figure]:
    milliseconds = [seconds * 1000 for seconds in took]
    return (
        Figure(f"acknowledgement p50 at {rate:,.0f}/s", median(milliseconds), "ms"),
        Figure(f"acknowledgement p99 at {rate:,.0f}/s", quantiles(milliseconds, n=100)[98], "ms"),
    )
