-- The accepting transaction: deduplicate, identify, number, route. Called by infra/database/accept.py.

-- Opaque ids: nothing personal, nothing countable.
create function new_id(prefix text) returns text language sql volatile as $$
    select prefix || '_' || replace(gen_random_uuid()::text, '-', '')
$$;

-- An enrollment's deliveries after a number, as the JSON envelopes that its workflow reads.
create function envelopes(p_enrollment text, p_after bigint, p_most int)
returns jsonb language sql stable as $$
    select coalesce(jsonb_agg(
        jsonb_build_object(
            'number', d.number,
            'name', e.name,
            'event_id', e.message_id,
            'occurred_at',
                to_char(e.occurred_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"'),
            'properties', e.properties)
        order by d.number), '[]')
    from delivery d
    join event e on e.source_id = d.source_id and e.message_id = d.message_id
    where d.enrollment_id = p_enrollment and d.number > p_after and d.number <= p_after + p_most
$$;

-- Make or complete the customer behind a user id, an anonymous id, or both.
-- An anonymous customer whom nobody has named yet takes the name; where both are known, merging
-- is merge.sql's. Each identity is claimed by inserting it, the anonymous one first, so that a
-- page view and a login at the same moment still become one customer. Where a customer is merged
-- away meanwhile, nothing is done: `accept` asks again who is who.
create function identify(p_user text, p_anonymous text) returns void language plpgsql as $$
declare
    v_user text;
    v_anonymous text;
    v_new text;  -- the customer that this call makes, if it makes one
begin
    select customer_id into v_user from identity where kind = 'user_id' and value = p_user;
    select customer_id into v_anonymous from identity
        where kind = 'anonymous_id' and value = p_anonymous;
    if p_anonymous is not null and v_anonymous is null then
        if v_user is null then
            v_new := new_id('cus');
        elsif not keep_customer(v_user) then
            return;
        end if;
        v_anonymous := coalesce(v_user, v_new);
        insert into identity (kind, value, customer_id)
            values ('anonymous_id', p_anonymous, v_anonymous) on conflict do nothing;
        if not found then  -- somebody else was faster
            v_new := null;
            select customer_id into strict v_anonymous from identity
                where kind = 'anonymous_id' and value = p_anonymous;
        end if;
    end if;
    if p_user is not null and v_user is null then
        if v_new is null and v_anonymous is not null then
            -- The lock: two users must not both adopt the same anonymous customer.
            perform 1 from customer where id = v_anonymous and merged_into is null
                for no key update;
            if not found then
                return;
            end if;
            if not exists (
                select 1 from identity where customer_id = v_anonymous and kind = 'user_id'
            ) then
                v_user := v_anonymous;
            end if;
        end if;
        if v_user is null then
            v_new := coalesce(v_new, new_id('cus'));
            v_user := v_new;
        end if;
        insert into identity (kind, value, customer_id) values ('user_id', p_user, v_user)
            on conflict do nothing;
        if not found then  -- somebody else was faster
            loop
                v_user := owner_of('user_id', p_user);
                exit when keep_customer(v_user);
            end loop;
            update identity set customer_id = v_user
                where kind = 'anonymous_id' and value = p_anonymous and customer_id = v_new;
            v_new := null;
        end if;
    end if;
    if v_new is not null then
        insert into customer (id) values (v_new);
    end if;
end $$;

-- Something that holds opens or closes. A close closes whatever the order; an open counts
-- unless a later close is known. A close that came first also swallows an open
-- whose time is up to five minutes later: senders' clocks differ, and the open may carry
-- no time of its own but that of its late arrival.
create function mark_hold(p_customer text, p_hold jsonb, p_at timestamptz)
returns void language sql volatile as $$
    insert into hold as h (customer_id, kind, reference, opened_at, closed_at)
    values (
        p_customer, p_hold ->> 'kind', p_hold ->> 'reference',
        case when p_hold ->> 'action' = 'open' then p_at end,
        case when p_hold ->> 'action' = 'close' then p_at end)
    on conflict (customer_id, kind, reference) do update set
        opened_at = greatest(h.opened_at, excluded.opened_at),
        closed_at = case
            when excluded.closed_at is not null then greatest(h.closed_at, excluded.closed_at)
            when h.closed_at is null then null
            when h.opened_at is null and excluded.opened_at <= h.closed_at + interval '5 minutes'
                then h.closed_at
            when excluded.opened_at < h.closed_at then h.closed_at
        end
$$;

-- What an identify call says of its customer. A trait set to null is forgotten, and with it
-- what was read from it: an address, the time zone, the locale.
create function tell_traits(p_customer text, p_effects jsonb, p_source bigint, p_message text)
returns void language plpgsql as $$
begin
    perform note_traits(p_customer, p_effects -> 'traits', p_source, p_message);
    delete from trait where customer_id = p_customer and name in (
        select key from jsonb_each(p_effects -> 'traits') where value = 'null');
    insert into trait (customer_id, name, value)
        select p_customer, key, value from jsonb_each(p_effects -> 'traits') where value <> 'null'
        on conflict (customer_id, name) do update
            set value = excluded.value, updated_at = excluded.updated_at;
    delete from address where customer_id = p_customer and channel in (
        select key from jsonb_each(p_effects -> 'addresses') where value = 'null');
    -- A new e-mail address or number replaces the old one, which may be somebody else's by now.
    -- Push tokens belong to devices: a customer may have several.
    delete from address a using jsonb_each_text(p_effects -> 'addresses') told
        where a.customer_id = p_customer and a.channel = told.key and told.key <> 'push'
        and a.value <> told.value;
    insert into address as a (customer_id, channel, value, updated_at)
        select p_customer, key, value, clock_timestamp()
        from jsonb_each_text(p_effects -> 'addresses') where value is not null
        on conflict (customer_id, channel, value) do update
            set updated_at = excluded.updated_at,
            -- The same words again do not mend a mailbox; a device says so when it is back.
            dead_since = case when a.channel <> 'push' then a.dead_since end;
    update customer set
        time_zone = case when p_effects ? 'time_zone' then p_effects ->> 'time_zone'
            else time_zone end,
        locale = case when p_effects ? 'locale' then p_effects ->> 'locale' else locale end
        where id = p_customer and (p_effects ? 'time_zone' or p_effects ? 'locale');
end $$;

-- Grant an entry, or refuse it with a reason. Under the customer's lock.
create function enter(p_customer text, p_entry jsonb, p_source bigint, p_message text)
returns void language plpgsql as $$
declare
    v_key text := coalesce(p_entry ->> 'key', '');
    v_before record;
    v_ordinal int;
    v_id text;
    v_refusal text;
    v_pause interval := (p_entry ->> 'pause')::interval;
begin
    -- Not the last one alone: a merge may have put others behind one that is live.
    select max(ordinal) as ordinal, max(ended_at) as ended_at, bool_or(state = 'live') as live
        into v_before from enrollment
        where customer_id = p_customer and journey = p_entry ->> 'journey' and key = v_key;
    v_ordinal := coalesce(v_before.ordinal, 0) + 1;
    if v_before.live then
        v_refusal := 'already enrolled';
    elsif v_before.ordinal is not null and not (p_entry ->> 're_entry')::boolean then
        v_refusal := 'this journey is entered only once';
    -- Not now(), the time at which this transaction began: it may have waited for the exit.
    elsif v_pause > interval '0' and v_before.ended_at > clock_timestamp() - v_pause then
        v_refusal := 'too soon after the exit: the pause is ' || justify_hours(v_pause);
    end if;
    if v_refusal is not null then
        insert into refusal (customer_id, journey, key, reason, source_id, message_id)
            values (p_customer, p_entry ->> 'journey', v_key, v_refusal, p_source, p_message);
        return;
    end if;
    v_id := new_id('enr');
    insert into enrollment (
        id, customer_id, journey, workflow_type, workflow_id, task_queue, key, ordinal, listens,
        parameters, summary, last_number)
    values (
        v_id, p_customer, p_entry ->> 'journey', p_entry ->> 'workflow_type',
        'journey/' || (p_entry ->> 'journey') || '/' || p_customer || '/' || concat_ws(
            '/', nullif(p_entry ->> 'key_in_id', ''),
            case when v_ordinal > 1 or v_key = '' then v_ordinal end),
        p_entry ->> 'task_queue', v_key, v_ordinal,
        array(select jsonb_array_elements_text(p_entry -> 'listens')),
        p_entry -> 'parameters', p_entry ->> 'summary', 1);
    insert into delivery (enrollment_id, number, source_id, message_id)
        values (v_id, 1, p_source, p_message);
    insert into backlog (enrollment_id, relayed, last) values (v_id, 0, 1);
end $$;

-- Route the new events after ordinal `p_after` up to `p_to` to every live enrollment of their
-- customers that listens, numbering them there; of locked customers only. Returns whether
-- anybody heard.
create function route(
    p_source bigint[], p_message text[], p_customer text[], p_type text[], p_name text[],
    p_accepted int[], p_locked text[], p_after bigint, p_to bigint)
returns boolean language plpgsql as $$
begin
    with heard as (
        select e.id, x.source, x.message,
            e.last_number + row_number() over (partition by e.id order by x.o) as number
        from unnest(p_source, p_message, p_customer, p_type, p_name)
            with ordinality x (source, message, customer, type, name, o)
            join unnest(p_accepted) a (o) on a.o = x.o
            join unnest(p_locked) l (customer) on l.customer = x.customer
            -- One look-up an event, whatever the planner thinks of the table's size.
            cross join lateral (
                select id, last_number from enrollment
                where customer_id = x.customer and state = 'live' and x.name = any (listens)
                offset 0) e
        -- A page may be named like an event; only what was tracked has happened.
        where x.o > p_after and x.o <= p_to and x.type = 'track'),
    numbered as (
        insert into delivery (enrollment_id, number, source_id, message_id)
        select id, number, source, message from heard),
    reached as (
        select id, min(number) as first, max(number) as last from heard group by id),
    counted as (
        update enrollment e set last_number = r.last from reached r where e.id = r.id)
    insert into backlog as b (enrollment_id, relayed, last)
        select id, first - 1, last from reached
        on conflict (enrollment_id) do update set last = excluded.last;
    return found;
end $$;

-- Accept events in the order given. All arrays have one element an event.
--   p_effects: null for an event that changes nothing but the record, else
--     {"traits": {…}, "addresses": {…}, "time_zone": …, "locale": …}   for identify
--     {"hold": {"kind", "reference", "action"}, "entries": [{…}, …]}   for track
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
    v_lock text[];
    v_routed bigint := 0;  -- the ordinal up to which events have been routed
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
            v_lock := array(
                select distinct x.customer
                from unnest(v_customer, p_type, p_name, p_effects)
                    x (customer, type, name, effects)
                where x.effects is not null or (x.type = 'track'
                    and exists (select 1 from heard_name h where h.name = x.name)));
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

    with inserted as (
        insert into event (
            source_id, message_id, customer_id, type, name, occurred_at, received_at,
            properties, context)
        select source, message, customer, type, name, occurred, received, properties, context
        from unnest(
            p_source, p_message, v_customer, p_type, p_name, p_occurred, p_received,
            p_properties, p_context)
            with ordinality x (
                source, message, customer, type, name, occurred, received, properties, context, o)
        order by o
        on conflict (source_id, message_id) do nothing
        returning source_id, message_id),
    first as (  -- the same event twice in one call: the first was inserted
        select min(x.o) as o
        from unnest(p_source, p_message) with ordinality x (source, message, o)
        join inserted i on i.source_id = x.source and i.message_id = x.message
        group by x.source, x.message)
    select coalesce(array_agg(o order by o), '{}') into accepted from first;

    if cardinality(v_lock) > 0 then
        for r in
            select x.*
            from unnest(p_source, p_message, v_customer, p_occurred, p_effects)
                with ordinality x (source, message, customer, occurred, effects, o)
            join unnest(accepted) a (o) on a.o = x.o
            where x.effects is not null
            order by x.o
        loop
            if r.effects ? 'traits' then
                perform tell_traits(r.customer, r.effects, r.source, r.message);
            end if;
            if r.effects ? 'hold' then
                perform mark_hold(r.customer, r.effects -> 'hold', r.occurred);
            end if;
            if r.effects ? 'entries' then
                -- An enrollment hears what comes after the event that started it.
                perform route(p_source, p_message, v_customer, p_type, p_name,
                    accepted, v_lock, v_routed, r.o);
                v_routed := r.o;
                perform enter(r.customer, entry, r.source, r.message)
                    from jsonb_array_elements(r.effects -> 'entries') as entry;
                routed := true;
            end if;
        end loop;
        routed := route(p_source, p_message, v_customer, p_type, p_name,
            accepted, v_lock, v_routed, cardinality(p_source)) or routed;
    end if;
end $$;
