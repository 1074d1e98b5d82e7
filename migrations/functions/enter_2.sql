-- Entering: the rules of re-entry, and how many a day.

-- Take one of the places that a journey has on a day; false where they are taken. Whoever holds
-- the lock waits for nobody before the transaction ends (the customers are locked before), and it
-- is one lock for all journeys, so that two transactions cannot wait for each other.
create or replace function take_place(p_journey text, p_day date, p_most bigint)
returns boolean language plpgsql as $$
begin
    -- Full stays full: nobody has to be waited for to say so.
    if exists (select 1 from entry_count
        where journey = p_journey and day = p_day and entries >= p_most)
    then
        return false;
    end if;
    perform pg_advisory_xact_lock(hashtext('entry_count'));
    insert into entry_count as c (journey, day, entries) values (p_journey, p_day, 1)
        on conflict (journey, day) do update set entries = c.entries + 1
        where c.entries < p_most;
    return found;
end $$;

-- Grant an entry, or refuse it with a reason. Under the customer's lock.
create or replace function enter(p_customer text, p_entry jsonb, p_source bigint, p_message text)
returns void language plpgsql as $$
declare
    v_key text := coalesce(p_entry ->> 'key', '');
    v_several boolean := coalesce((p_entry ->> 'several')::boolean, false);
    v_pause interval := (p_entry ->> 'pause')::interval;
    v_day jsonb := p_entry -> 'per_day';
    v_before record;
    v_ordinal int;
    v_id text;
    v_code text;
    v_refusal text;
begin
    -- Not the last one alone: a merge may have put others behind one that is live.
    select max(ordinal) as ordinal, max(ended_at) as ended_at, bool_or(state = 'live') as live
        into v_before from enrollment
        where customer_id = p_customer and journey = p_entry ->> 'journey' and key = v_key;
    v_ordinal := coalesce(v_before.ordinal, 0) + 1;
    if v_before.live and not v_several then
        v_code := 'already_enrolled';
        v_refusal := 'already enrolled';
    elsif v_before.ordinal is not null and not (p_entry ->> 're_entry')::boolean then
        v_code := 'once';
        v_refusal := 'this journey is entered only once';
    -- Not now(), the time at which this transaction began: it may have waited for the exit.
    elsif v_pause > interval '0' and v_before.ended_at > clock_timestamp() - v_pause then
        v_code := 'pause';
        v_refusal := 'too soon after the exit: the pause is ' || justify_hours(v_pause);
    -- Last, so that only who would enter takes a place.
    elsif v_day is not null and not take_place(p_entry ->> 'journey',
        (v_day ->> 'day')::date, (v_day ->> 'entries')::bigint)
    then
        v_code := 'entry_cap';
        v_refusal := format('this journey takes %s entries a day, and has taken them for %s (%s)',
            v_day ->> 'entries', v_day ->> 'day', v_day ->> 'zone');
    end if;
    if v_refusal is not null then
        insert into refusal (customer_id, journey, key, code, reason, source_id, message_id)
            values (p_customer, p_entry ->> 'journey', v_key, v_code, v_refusal,
                p_source, p_message);
        return;
    end if;
    v_id := new_id('enr');
    insert into enrollment (
        id, customer_id, journey, workflow_type, workflow_id, task_queue, key, ordinal, several,
        listens, parameters, summary, last_number)
    values (
        v_id, p_customer, p_entry ->> 'journey', p_entry ->> 'workflow_type',
        'journey/' || (p_entry ->> 'journey') || '/' || p_customer || '/' || concat_ws(
            '/', nullif(p_entry ->> 'key_in_id', ''),
            case when v_ordinal > 1 or v_key = '' then v_ordinal end),
        p_entry ->> 'task_queue', v_key, v_ordinal, v_several,
        array(select jsonb_array_elements_text(p_entry -> 'listens')),
        p_entry -> 'parameters', p_entry ->> 'summary', 1);
    insert into delivery (enrollment_id, number, source_id, message_id)
        values (v_id, 1, p_source, p_message);
    insert into backlog (enrollment_id, relayed, last) values (v_id, 0, 1);
end $$;

-- Two live enrollments of one journey and key become one: the older goes on. Where a customer may
-- be in it several times, all go on. The others move, numbered after those of the customer who
-- stays.
create or replace function merge_enrollments(p_merge bigint, p_into text, p_from text)
returns int language plpgsql as $$
declare
    v_younger text[];
    v_older text[];
    v_moved int;
begin
    select coalesce(array_agg(case when i.created_at <= f.created_at then f.id else i.id end), '{}'),
        coalesce(array_agg(case when i.created_at <= f.created_at then i.id else f.id end), '{}')
        into v_younger, v_older
        from enrollment i join enrollment f using (journey, key, state)
        where i.customer_id = p_into and f.customer_id = p_from and state = 'live'
        and not (i.several or f.several);
    perform tell_enrollments(p_merge, p_into, p_from, v_younger);
    perform close_enrollment(younger, 'merged', 'its customer was merged; ' || older || ' goes on')
        from unnest(v_younger, v_older) pair (younger, older);
    update enrollment e set customer_id = p_into, ordinal = f.ordinal
        from (
            select m.id, row_number() over (partition by m.journey, m.key order by m.ordinal)
                + coalesce((
                    select max(i.ordinal) from enrollment i
                    where i.customer_id = p_into and i.journey = m.journey and i.key = m.key), 0)
                as ordinal
            from enrollment m where m.customer_id = p_from) f
        where e.id = f.id;
    get diagnostics v_moved = row_count;
    return v_moved;
end $$;

-- Enroll customers because it is time for them by a journey's schedule. Each has an event of the
-- runtime's own, whose id is `p_prefix` and the customer: so nobody enters twice for one day,
-- whoever asks how often, nor as two who have become one. Customers who are locked by others are
-- waited for in the order of their ids, before anything else is locked.
create or replace function enter_due(
    p_customer text[], p_prefix text, p_name text, p_properties jsonb, p_due timestamptz,
    p_entry jsonb, out entered int, out refused int)
language plpgsql as $$
declare
    v_locked text[];
    v_id text;
begin
    entered := 0;
    refused := 0;
    with locked as (
        select id from customer where id = any (p_customer) and merged_into is null
        order by id for no key update)
    select array_agg(id order by id) into v_locked from locked;
    foreach v_id in array coalesce(v_locked, '{}') loop
        continue when exists (
            select 1 from event where source_id = 0
            and message_id = any (array(select p_prefix || unnest(ids_of(v_id)))));
        insert into event (
            source_id, message_id, customer_id, type, name, occurred_at, received_at, properties)
        values (
            0, p_prefix || v_id, v_id, 'enroll', p_name, p_due, clock_timestamp(), p_properties);
        perform enter(v_id, p_entry, 0, p_prefix || v_id);
        if exists (select 1 from refusal
            where customer_id = v_id and source_id = 0 and message_id = p_prefix || v_id)
        then
            refused := refused + 1;
        else
            entered := entered + 1;
        end if;
    end loop;
end $$;
