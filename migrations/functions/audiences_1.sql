-- Computed traits and segments. Python says what an event adds and who is in a segment
-- (domain/audiences); here it is kept. Called by infra/database/audiences.py and backfill.py,
-- always under the locks of the customers that are written.

-- Add what newly accepted events contribute. One element an event; p_contributions has
-- [{"key", "until", "amount", "value"}, …]. Returns the customers.
create function add_contributions(
    p_source bigint[], p_message text[], p_contributions jsonb[])
returns text[] language plpgsql set plan_cache_mode = force_generic_plan as $$
declare
    v_customers text[];
begin
    with told as materialized (
        select e.customer_id, e.occurred_at, x.contributions, x.o
        from unnest(p_source, p_message, p_contributions)
            with ordinality x (source, message, contributions, o)
            -- One look-up an event, whatever the planner thinks of the table's size.
            cross join lateral (
                select customer_id, occurred_at from event
                where source_id = x.source and message_id = x.message
                offset 0) e),
    added as (
        insert into computed as b (
            customer_id, key, until, count, total, first_at, first, last_at, last)
        select t.customer_id, c.key, c.until, count(*), sum(c.amount),
            min(t.occurred_at), (array_agg(c.value order by t.occurred_at, t.o))[1],
            max(t.occurred_at), (array_agg(c.value order by t.occurred_at desc, t.o desc))[1]
        from told t cross join lateral jsonb_to_recordset(t.contributions)
            c (key text, until timestamptz, amount numeric, value jsonb)
        group by t.customer_id, c.key, c.until
        order by t.customer_id, c.key, c.until
        on conflict (customer_id, key, until) do update set
            count = b.count + excluded.count,
            total = b.total + excluded.total,
            first_at = least(b.first_at, excluded.first_at),
            first = case when excluded.first_at < b.first_at then excluded.first else b.first end,
            last_at = greatest(b.last_at, excluded.last_at),
            last = case when excluded.last_at < b.last_at then b.last else excluded.last end)
    select array_agg(distinct customer_id) into v_customers from told;
    return v_customers;
end $$;

-- What is kept of a customer for computed traits and segments, as Python reads it. It looks at
-- the customer's own few rows and never at events. A key is filled for a customer when the
-- history is in it: the backfill goes through the customers in the order of their ids.
create function audience_facts(p_customer text) returns jsonb language sql stable as $$
    select jsonb_build_object(
        'at', clock_timestamp(),
        'filled', (
            select coalesce(jsonb_agg(a.key), '[]') from audience a
            where a.filled_at is not null or p_customer <= a.filled_to),
        'retired', (
            select coalesce(jsonb_agg(a.key), '[]') from audience a
            where a.retired_at is not null),
        'buckets', (
            select coalesce(jsonb_agg(jsonb_build_array(
                b.key, b.until, b.count, b.total::text,
                b.first_at, b.first, b.last_at, b.last)), '[]')
            from computed b
            where b.customer_id = p_customer and b.until > clock_timestamp()),
        'moves', (
            select coalesce(jsonb_object_agg(m.segment, jsonb_build_array(m.member, m.moves)), '{}')
            from membership m where m.customer_id = p_customer))
$$;

-- Write down what a look at segments found. p_moves, in order:
--   [{"customer", "segment", "entered", "event": {"name", "id", "properties", "entries"} | null}]
-- A move is an event like any other: kept, numbered, routed. p_due says for each customer
-- when to look again, or null. Returns whether the relay has something to carry.
create function move_members(p_moves jsonb, p_customer text[], p_due timestamptz[])
returns boolean language plpgsql set plan_cache_mode = force_generic_plan as $$
declare
    r record;
    v_routed boolean := false;
begin
    for r in
        select * from jsonb_to_recordset(p_moves)
            x (customer text, segment text, entered boolean, event jsonb)
    loop
        insert into membership as m (customer_id, segment, member, moves, since)
            values (r.customer, r.segment, r.entered, 1, clock_timestamp())
            on conflict (customer_id, segment) do update set
                member = excluded.member, moves = m.moves + 1, since = excluded.since
            where m.member <> excluded.member;
        continue when not found or r.event is null;
        insert into event (
            source_id, message_id, customer_id, type, name, occurred_at, received_at, properties)
        values (
            0, r.event ->> 'id', r.customer, 'track', r.event ->> 'name',
            clock_timestamp(), clock_timestamp(), r.event -> 'properties');
        v_routed := route(
            array[0::bigint], array[r.event ->> 'id'], array[r.customer], array['track'],
            array[r.event ->> 'name'], array[1], array[r.customer], 0, 1) or v_routed;
        if jsonb_array_length(r.event -> 'entries') > 0 then
            perform enter(r.customer, entry, 0, r.event ->> 'id')
                from jsonb_array_elements(r.event -> 'entries') as entry;
            v_routed := true;
        end if;
    end loop;
    delete from assessment a using unnest(p_customer, p_due) x (customer, due)
        where a.customer_id = x.customer and x.due is null;
    insert into assessment as a (customer_id, due_at)
        select customer, due from unnest(p_customer, p_due) x (customer, due)
        where due is not null order by customer
        on conflict (customer_id) do update set due_at = excluded.due_at
        where a.due_at <> excluded.due_at;
    -- What has left its window is of no use any more.
    delete from computed where customer_id = any (p_customer) and until <= clock_timestamp();
    return v_routed;
end $$;

-- Two customers are one: what was computed of them adds up, and the segments of both are looked
-- at again within a second. Whoever was in a segment as either is in it, until that look. The
-- caller holds the locks of both.
create function merge_computed(p_from text, p_to text) returns void language plpgsql as $$
begin
    insert into computed as b (
        customer_id, key, until, count, total, first_at, first, last_at, last)
    select p_to, key, until, count, total, first_at, first, last_at, last
        from computed where customer_id = p_from
    on conflict (customer_id, key, until) do update set
        count = b.count + excluded.count,
        total = b.total + excluded.total,
        first_at = least(b.first_at, excluded.first_at),
        first = case when excluded.first_at < b.first_at then excluded.first else b.first end,
        last_at = greatest(b.last_at, excluded.last_at),
        last = case when excluded.last_at > b.last_at then excluded.last else b.last end;
    insert into membership as m (customer_id, segment, member, moves, since)
        select p_to, segment, member, moves, since from membership where customer_id = p_from
    on conflict (customer_id, segment) do update set
        member = m.member or excluded.member,
        -- A move's number is part of its event's id, which must be new for this customer.
        moves = greatest(m.moves, excluded.moves),
        since = case
            when m.member = excluded.member then least(m.since, excluded.since)
            when m.member then m.since
            else excluded.since
        end;
    delete from computed where customer_id = p_from;
    delete from membership where customer_id = p_from;
    delete from assessment where customer_id = p_from;
    insert into assessment as a (customer_id, due_at) values (p_to, clock_timestamp())
        on conflict (customer_id) do update set due_at = excluded.due_at;
    -- A backfill that is under way may have read the history of one of them before this.
    insert into refill (customer_id) values (p_to) on conflict do nothing;
    delete from refill where customer_id = p_from;
end $$;

-- The ids under which the history of customers is kept. None for one who is nobody any more.
create function history_ids(p_customers text[]) returns table (customer_id text, id text)
language sql stable as $$
    select c.id, unnest(ids_of(c.id)) from customer c
    where c.id = any (p_customers) and c.merged_into is null
$$;
