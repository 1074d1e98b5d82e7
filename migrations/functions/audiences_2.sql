-- As in audiences_1.sql, with `route` as it is now.

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
            array[r.event ->> 'name'], array[r.event ->> 'name'], '{}', '{}') or v_routed;
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
