-- What a journey knows of the time before it, the variants that customers were dealt, the tasks
-- that people have, and who entered which journey from which. Called by infra/database.

-- What a customer did before an enrollment began, in the order in which it happened; of more than
-- `p_most` what arrived last. Null where there is no such enrollment. It goes back through the
-- index of the customer's events, which has all that is asked, and reads no event that is not
-- found. Planned anew each time: a plan from when the table was empty would not use it.
create function look_back(
    p_customer text, p_enrollment text, p_names text[], p_since timestamptz, p_most int)
returns jsonb language plpgsql stable set plan_cache_mode = force_custom_plan as $$
declare
    v_began bigint;
    v_latest timestamptz;
    v_found jsonb;
begin
    -- The number says what came before; the time, where to begin, and two processes' may differ.
    select e.id, e.received_at + interval '1 hour' into v_began, v_latest
        from delivery d join event e on e.source_id = d.source_id and e.message_id = d.message_id
        where d.enrollment_id = p_enrollment and d.number = 1;
    if v_began is null then
        return null;
    end if;
    with found as materialized (
        select f.* from unnest(ids_of(survivor(p_customer))) who (id) cross join lateral (
            select customer_id, received_at, id from event
            where customer_id = who.id and name = any (p_names) and type = 'track'
            and occurred_at >= p_since and id < v_began
            -- Nothing happens after it has arrived.
            and received_at >= p_since and received_at <= v_latest
            order by received_at desc, id desc limit p_most) f
        order by f.received_at desc, f.id desc limit p_most)
    select coalesce(jsonb_agg(
        jsonb_build_object(
            'number', 0,
            'name', e.name,
            'event_id', e.message_id,
            'occurred_at',
                to_char(e.occurred_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US+00:00"'),
            'properties', e.properties)
        order by e.occurred_at, e.id), '[]') into v_found
    from found f join event e
        on e.customer_id = f.customer_id and e.received_at = f.received_at and e.id = f.id;
    return v_found;
end $$;

-- Nobody waits for an enrollment's tasks any more.
create function withdraw_tasks(p_enrollment text, p_detail text) returns void language sql as $$
    update task set state = 'withdrawn', settled_at = clock_timestamp(),
        history = history || jsonb_build_array(jsonb_build_object(
            'at', clock_timestamp(), 'what', 'withdrawn', 'role', role, 'detail', p_detail))
        where enrollment_id = p_enrollment and state = 'open'
$$;

-- An enrollment has ended: tell the one that waits for it, by a delivery like any other. Of the
-- type `journey`, so that nobody else ever hears it, not after a merge either.
create function tell_parent(p_enrollment text) returns void language plpgsql as $$
declare
    v_parent text;
    v_number bigint;
begin
    select p.id into v_parent from entrance n join enrollment p on p.id = n.parent_id
        where n.child_id = p_enrollment and n.wait and p.state = 'live';
    if v_parent is null then
        return;
    end if;
    insert into event (
        source_id, message_id, customer_id, type, name, occurred_at, received_at, properties)
    select 0, 'ended-' || c.id, c.customer_id, 'journey', 'journey_ended', clock_timestamp(),
        clock_timestamp(), jsonb_build_object(
            'journey', c.journey, 'enrollment_id', c.id, 'outcome', c.outcome,
            'reason', coalesce(c.outcome_reason, ''), 'step', n.step)
        from enrollment c join entrance n on n.child_id = c.id where c.id = p_enrollment
        on conflict do nothing;
    if not found then
        return;
    end if;
    update enrollment set last_number = last_number + 1 where id = v_parent
        returning last_number into v_number;
    insert into delivery (enrollment_id, number, source_id, message_id)
        values (v_parent, v_number, 0, 'ended-' || p_enrollment);
    insert into backlog (enrollment_id, relayed, last) values (v_parent, v_number - 1, v_number)
        on conflict (enrollment_id) do update set last = excluded.last;
end $$;

-- Take an enrollment's customer, who is locked, into another journey. The event that starts it is
-- of the type `journey`: it is said to that journey and to nobody else.
create function enter_from(
    p_customer text, p_parent text, p_step text, p_entry jsonb, p_name text, p_properties jsonb,
    p_wait boolean, out child_id text, out refused text)
language plpgsql as $$
declare
    v_message text := 'entered-' || p_parent || '/' || p_step;
begin
    select n.child_id, n.refused into child_id, refused from entrance n
        where n.parent_id = p_parent and n.step = p_step;
    if found then
        return;
    end if;
    insert into event (
        source_id, message_id, customer_id, type, name, occurred_at, received_at, properties)
    values (
        0, v_message, p_customer, 'journey', p_name, clock_timestamp(), clock_timestamp(),
        p_properties);
    perform enter(p_customer, p_entry, 0, v_message);
    select e.id into child_id from enrollment e
        join delivery d on d.enrollment_id = e.id and d.number = 1
        where e.customer_id = p_customer and e.journey = p_entry ->> 'journey'
        and d.source_id = 0 and d.message_id = v_message;
    if child_id is null then
        select r.reason into refused from refusal r
            where r.customer_id = p_customer and r.source_id = 0 and r.message_id = v_message;
        refused := coalesce(refused, 'the journey was not entered');
    end if;
    insert into entrance (parent_id, step, child_id, refused, wait)
        values (p_parent, p_step, child_id, refused, p_wait);
end $$;

-- Two customers are one, and both are locked: tasks go along. Of an experiment in which both have
-- a variant that of the customer who stays counts; the other remains as history.
create function merge_people(p_into text, p_from text) returns void language sql as $$
    update task set customer_id = p_into where customer_id = p_from;
    update assignment a set customer_id = p_into where a.customer_id = p_from
        and not exists (
            select 1 from assignment b where b.customer_id = p_into and b.name = a.name);
$$;
