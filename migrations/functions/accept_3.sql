-- The accepting transaction, once more: what is told of messages takes effect in it. See
-- outcomes_1.sql for `report`, and accept_1.sql and accept_2.sql for what else it calls.

-- Accept events in the order given. All arrays have one element an event.
--   p_effects: null for an event that changes nothing but the record, else
--     {"traits": {…}, "addresses": {…}, "time_zone": …, "locale": …}   for identify
--     {"hold": {"kind", "reference", "action"}, "report": {…}, "entries": [{…}, …]}   for track
--     {"alias": {"previous_id": …}}                                    for alias
-- Returns the ordinals (from 1) that were new; the others were accepted before. `routed` says
-- whether the relay has something to carry. To plan it anew for each call would cost more
-- than the call.
create function accept(
    p_source bigint[], p_message text[], p_user text[], p_anonymous text[], p_type text[],
    p_name text[], p_occurred timestamptz[], p_received timestamptz[],
    p_properties jsonb[], p_context jsonb[], p_effects jsonb[],
    out accepted int[], out routed boolean)
language plpgsql set plan_cache_mode = force_generic_plan as $$
declare
    r record;
    v_customer text[];
    v_unknown boolean;
    v_split boolean;  -- a user id and a device that are not the same customer's
    v_again boolean;
    v_heard text[];  -- the names among these that anybody listens to
    v_lock text[];
    v_began text[] := '{}';
    v_after bigint[] := '{}';
begin
    routed := false;
    -- The look-ups are scalar subqueries, because those are never planned as a hash of the
    -- whole table: a plan is kept, and may be as old as when the table was empty.
    loop
        select
            array_agg(case when u.user_id is not null then i.by_user else i.by_device end
                order by u.o),
            bool_or((u.user_id is not null and i.by_user is null)
                or (u.anonymous_id is not null and i.by_device is null)),
            bool_or(i.by_user <> i.by_device)
            into v_customer, v_unknown, v_split
        from unnest(p_user, p_anonymous) with ordinality u (user_id, anonymous_id, o),
            lateral (select
                (select customer_id from identity where kind = 'user_id' and value = u.user_id)
                    as by_user,
                (select customer_id from identity
                    where kind = 'anonymous_id' and value = u.anonymous_id) as by_device
                offset 0) i;  -- once an event, however often it is asked for here
        if v_unknown is not true then
            -- Only where somebody may hear it is the order of acknowledgement worth a lock.
            v_heard := array(
                select name from heard_name where name in (select unnest(p_name)));
            v_lock := '{}';
            if p_effects is not null or cardinality(v_heard) > 0 then
                v_lock := array(
                    select distinct x.customer
                    from unnest(v_customer, p_type, p_name, p_effects)
                        x (customer, type, name, effects)
                    where x.effects is not null
                        or (x.type = 'track' and x.name = any (v_heard)));
            end if;
            v_again := false;
            if v_split or 'alias' = any (p_type) then
                select m.again, m.merged or routed into v_again, routed from merge_all(
                    p_source, p_message, p_user, p_anonymous, p_type, p_effects, v_lock) m;
            elsif cardinality(v_lock) > 0 then
                select bool_or(merged_into is not null) into v_again from (
                    select merged_into from customer where id = any (v_lock)
                    order by id for no key update) locked;
            end if;
            exit when v_again is not true;
            continue;  -- somebody was merged, by us or while we waited: who is who now?
        end if;
        for r in
            select p.user_id, case when p.is_first then p.anonymous_id end as anonymous_id
            from (
                select u.user_id, u.anonymous_id,
                    -- Of two users on one device the first to come has been the anonymous one.
                    row_number() over (
                        partition by u.anonymous_id order by u.user_id is null, min(u.o)) = 1
                        as is_first
                from unnest(p_user, p_anonymous) with ordinality u (user_id, anonymous_id, o)
                where (u.user_id is not null and (
                        select customer_id from identity
                        where kind = 'user_id' and value = u.user_id) is null)
                   or (u.anonymous_id is not null and (
                        select customer_id from identity
                        where kind = 'anonymous_id' and value = u.anonymous_id) is null)
                group by u.user_id, u.anonymous_id) p
            order by 1, 2  -- one order, so that two transactions rarely wait for each other
        loop
            perform identify(r.user_id, r.anonymous_id);
        end loop;
    end loop;

    begin
        -- To look for duplicates first costs a third of storing: nearly always there are none.
        insert into event (
            source_id, message_id, customer_id, type, name, occurred_at, received_at,
            properties, context)
        select unnest(p_source), unnest(p_message), unnest(v_customer), unnest(p_type),
            unnest(p_name), unnest(p_occurred), unnest(p_received), unnest(p_properties),
            unnest(p_context);
        accepted := array(select generate_series(1, cardinality(p_source)));
    exception when unique_violation then
        with inserted as (
            insert into event (
                source_id, message_id, customer_id, type, name, occurred_at, received_at,
                properties, context)
            select unnest(p_source), unnest(p_message), unnest(v_customer), unnest(p_type),
                unnest(p_name), unnest(p_occurred), unnest(p_received), unnest(p_properties),
                unnest(p_context)
            on conflict (source_id, message_id) do nothing
            returning source_id, message_id),
        first as (  -- the same event twice in one call: the first was inserted
            select min(x.o) as o
            from unnest(p_source, p_message) with ordinality x (source, message, o)
            join inserted i on i.source_id = x.source and i.message_id = x.message
            group by x.source, x.message)
        select coalesce(array_agg(o order by o), '{}') into accepted from first;
        -- From here on there is only what is new.
        select array_agg(x.source order by x.o), array_agg(x.message order by x.o),
            array_agg(x.customer order by x.o), array_agg(x.type order by x.o),
            array_agg(x.name order by x.o), array_agg(x.occurred order by x.o),
            array_agg(x.effects order by x.o)
            into p_source, p_message, v_customer, p_type, p_name, p_occurred, p_effects
        from unnest(p_source, p_message, v_customer, p_type, p_name, p_occurred, p_effects)
            with ordinality x (source, message, customer, type, name, occurred, effects, o)
        join unnest(accepted) a (o) on a.o = x.o;
    end;

    if cardinality(v_lock) > 0 then
        for r in
            select x.*
            from unnest(p_source, p_message, v_customer, p_occurred, p_effects)
                with ordinality x (source, message, customer, occurred, effects, o)
            where x.effects is not null
            order by x.o
        loop
            if r.effects ? 'traits' then
                perform tell_traits(r.customer, r.effects, r.source, r.message);
            end if;
            if r.effects ? 'hold' then
                perform mark_hold(r.customer, r.effects -> 'hold', r.occurred);
            end if;
            if r.effects ? 'report' then
                routed := report(r.customer, r.effects -> 'report', r.occurred) or routed;
            end if;
            if r.effects ? 'entries' then
                perform enter(r.customer, entry, r.source, r.message)
                    from jsonb_array_elements(r.effects -> 'entries') as entry;
                select v_began || array_agg(e.id), v_after || array_agg(r.o)
                    into v_began, v_after
                    from enrollment e join delivery d on d.enrollment_id = e.id and d.number = 1
                    where e.customer_id = r.customer and e.state = 'live'
                    and d.source_id = r.source and d.message_id = r.message;
                routed := true;
            end if;
        end loop;
        routed := route(p_source, p_message, v_customer, p_type, p_name, v_heard,
            v_began, v_after) or routed;
    end if;
end $$;
