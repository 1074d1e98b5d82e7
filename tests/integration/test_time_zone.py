"""Journeys under way hear when their customer's time zone changes, and only then (semantics 11)."""

from domain.events import TIME_ZONE_CHANGED
from infra.database.accept import Incoming
from infra.database.pool import Pool
from tests.worlds import PostgresWorld, postgres_world, tell


def _lives_in(user_id: str, zone: str | None) -> Incoming:
    item = tell(user_id, city="somewhere")
    return item._replace(effects={**(item.effects or {}), "time_zone": zone})


async def _heard(world: PostgresWorld) -> list[tuple[int, str]]:
    rows = await world.pool.fetch(
        "select d.number, e.name from delivery d join event e using (source_id, message_id)"
        " where d.enrollment_id = $1 order by 1",
        world.enrollment_id,
    )
    return [(row["number"], row["name"]) for row in rows]


async def test_a_new_zone_is_told_once_and_the_same_again_is_not(pool: Pool) -> None:
    world = await postgres_world(pool)
    for zone in ("Europe/Berlin", "Europe/Berlin", "Asia/Tokyo", None):
        await world.accept(_lives_in(world.user_id, zone))
    await world.accept(tell(world.user_id, first_name="Ada"))
    assert await _heard(world) == [
        (1, "cart_abandoned"),
        (2, TIME_ZONE_CHANGED),
        (3, TIME_ZONE_CHANGED),
        (4, TIME_ZONE_CHANGED),
    ]
    assert await pool.fetchval("select last from backlog") == 4


async def test_events_of_the_same_batch_are_numbered_around_it(pool: Pool) -> None:
    world = await postgres_world(pool)
    await world.accept(_lives_in(world.user_id, "Europe/Berlin"), tell(world.user_id, a="b"))
    assert await _heard(world) == [(1, "cart_abandoned"), (2, TIME_ZONE_CHANGED)]
    row = await pool.fetchrow("select last_number from enrollment")
    assert row["last_number"] == 2


async def test_nobody_is_told_where_nothing_is_under_way(pool: Pool) -> None:
    world = await postgres_world(pool)
    await pool.execute("update enrollment set state = 'ended', outcome = 'completed'")
    await world.accept(_lives_in(world.user_id, "Europe/Berlin"))
    assert await _heard(world) == [(1, "cart_abandoned")]
    assert not await pool.fetchval("select count(*) from event where name = $1", TIME_ZONE_CHANGED)
