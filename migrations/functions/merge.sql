-- Two customers who turn out to be one. What decisions rest on moves to the customer who stays:
-- identities, traits, addresses, holds, enrollments, the ledger. What only tells what happened
-- (events, refusals, changes of traits, merges) stays as it was written, and is read under every
-- id that the customer has had. See docs/adr/0007-merging-moves-what-decisions-rest-on.md.

-- The customer behind an id that may have been merged away.
create function survivor(p_customer text) returns text language plpgsql stable as $$
declare
    v_customer text := p_customer;
    v_next text;
begin
    loop
        select merged_into into v_next from customer where id = v_customer;
        exit when v_next is null;
        v_customer := v_next;
    end loop;
    return v_customer;
end $$;

-- All ids that a customer has and has had.
create function ids_of(p_customer text) returns text[] language sql stable as $$
    with recursive same (id) as (
        select p_customer
        union all
        select c.id from customer c join same on c.merged_into = same.id)
    select array_agg(id) from same
$$;

-- Keep a customer from being merged away until this transaction ends; false where it has been.
create function keep_customer(p_customer text) returns boolean language plpgsql as $$
begin
    perform 1 from customer where id = p_customer and merged_into is null for key share;
    return found;
end $$;

-- Whose an identity is, or null.
create function owner_of(p_kind text, p_value text) returns text language sql stable as $$
    select customer_id from identity where kind = p_kind and value = p_value
$$;

create function is_named(p_customer text) returns boolean language sql stable as $$
    select exists (select 1 from identity where customer_id = p_customer and kind = 'user_id')
$$;

-- The trait that an address on a channel is read from, as ADDRESS_TRAITS in domain/customers.py.
create function trait_of(p_channel text) returns text language sql immutable as $$
    select case p_channel when 'sms' then 'phone' when 'push' then 'push_token' else p_channel end
$$;

-- Whether one of these customers has been told to forget a trait since a moment.
create function forgot(p_customers text[], p_trait text, p_since timestamptz)
returns boolean language sql stable as $$
    select exists (
        select 1 from trait_change
        where customer_id = any (p_customers) and name = p_trait
        and new_value is null and changed_at >= p_since)
$$;

-- The newer word wins, also where it was to forget; of two of the same moment that of the
-- customer who stays.
create function merge_traits(p_into text, p_from text, p_source bigint, p_message text)
returns int language plpgsql as $$
declare
    v_into text[] := ids_of(p_into);
    v_from text[] := ids_of(p_from);
    v_taken int;
    v_told int;
begin
    update customer i set
        time_zone = case when z.newer or i.time_zone is null
            then coalesce(f.time_zone, i.time_zone) else i.time_zone end,
        locale = case when l.newer or i.locale is null
            then coalesce(f.locale, i.locale) else i.locale end
        from customer f,
            lateral (select exists (
                select 1 from trait a join trait b using (name)
                where a.customer_id = p_from and b.customer_id = p_into and name = 'timezone'
                and a.updated_at > b.updated_at) as newer) z,
            lateral (select exists (
                select 1 from trait a join trait b using (name)
                where a.customer_id = p_from and b.customer_id = p_into and name = 'locale'
                and a.updated_at > b.updated_at) as newer) l
        where i.id = p_into and f.id = p_from;

    with forgotten as (
        delete from trait where customer_id = p_into and forgot(v_from, name, updated_at)
        returning name, value)
    insert into trait_change (customer_id, name, old_value, source_id, message_id)
        select p_into, name, value, p_source, p_message from forgotten;
    get diagnostics v_taken = row_count;

    with told as (
        delete from trait where customer_id = p_from returning name, value, updated_at),
    before as (
        select name, value from trait where customer_id = p_into),
    taken as (
        insert into trait as t (customer_id, name, value, updated_at)
        select p_into, name, value, updated_at from told
        where not forgot(v_into, name, updated_at)
        on conflict (customer_id, name) do update
            set value = excluded.value, updated_at = excluded.updated_at
            where t.updated_at < excluded.updated_at
        returning name, value)
    insert into trait_change (customer_id, name, old_value, new_value, source_id, message_id)
        select p_into, t.name, b.value, t.value, p_source, p_message
        from taken t left join before b using (name) where b.value is distinct from t.value;
    get diagnostics v_told = row_count;

    -- As when it is told: a new e-mail address or number replaces the old one, a push token
    -- joins the others.
    delete from address f using address i
        where f.customer_id = p_from and i.customer_id = p_into and i.channel = f.channel
        and f.channel <> 'push' and f.value <> i.value and f.updated_at <= i.updated_at;
    delete from address i using address f
        where f.customer_id = p_from and i.customer_id = p_into and i.channel = f.channel
        and f.channel <> 'push' and f.value <> i.value and i.updated_at < f.updated_at;
    delete from address where customer_id = p_from
        and forgot(v_into, trait_of(channel), updated_at);
    delete from address where customer_id = p_into
        and forgot(v_from, trait_of(channel), updated_at);
    with moved as (
        delete from address where customer_id = p_from
        returning channel, value, updated_at, dead_since)
    insert into address as a (customer_id, channel, value, updated_at, dead_since)
        select p_into, channel, value, updated_at, dead_since from moved
        on conflict (customer_id, channel, value) do update set
            updated_at = greatest(a.updated_at, excluded.updated_at),
            -- A mailbox that is dead for one is dead for both; a device may have come back.
            dead_since = case
                when a.channel <> 'push' or greatest(a.dead_since, excluded.dead_since)
                    > greatest(a.updated_at, excluded.updated_at)
                then greatest(a.dead_since, excluded.dead_since) end;
    return v_taken + v_told;
end $$;

-- What is open for one is open for both, unless the other knows of a close that is not earlier;
-- as in mark_hold, a close without an open also covers an open that is a little later.
create function merge_holds(p_into text, p_from text) returns int language plpgsql as $$
declare
    v_moved int;
begin
    with moved as (
        delete from hold where customer_id = p_from
        returning kind, reference, opened_at, closed_at)
    insert into hold as h (customer_id, kind, reference, opened_at, closed_at)
        select p_into, kind, reference, opened_at, closed_at from moved
        on conflict (customer_id, kind, reference) do update set
            opened_at = greatest(h.opened_at, excluded.opened_at),
            closed_at = case
                when (h.closed_at is null or excluded.closed_at is null)
                    and greatest(h.opened_at, excluded.opened_at)
                        > greatest(h.closed_at, excluded.closed_at) + case
                            when h.closed_at is not null and h.opened_at is null
                                or excluded.closed_at is not null and excluded.opened_at is null
                            then interval '5 minutes' else interval '0' end
                then null
                else greatest(h.closed_at, excluded.closed_at) end;
    get diagnostics v_moved = row_count;
    return v_moved;
end $$;

-- An enrollment is over. Called and not answered: it may have been sent, and a late answer still
-- completes the row. What was parked will not be sent any more, and the ledger says so.
create function close_enrollment(p_enrollment text, p_outcome text, p_reason text)
returns void language plpgsql as $$
declare
    v_detail text := 'the journey ended before: ' || concat_ws(', ', p_outcome, nullif(p_reason, ''));
begin
    update enrollment set state = 'ended', outcome = p_outcome, outcome_reason = p_reason,
        ended_at = clock_timestamp() where id = p_enrollment;
    update message set verdict = 'unknown', reason = 'provider_did_not_say',
        in_flight_since = null, completed_at = now(),
        detail = 'the journey ended before the provider answered'
        where enrollment_id = p_enrollment and in_flight_since is not null;
    update message set verdict = 'suppressed', reason = 'journey_ended', detail = v_detail,
        decisions = decisions || jsonb_build_array(jsonb_build_object('at', now(),
            'verdict', 'suppressed', 'reason', 'journey_ended', 'detail', v_detail))
        where enrollment_id = p_enrollment and verdict in ('held', 'stale', 'sending');
end $$;

-- Tell the live enrollments of both customers that they are one, and what the other customer
-- did since they began: had it been known, they would have heard it (G3). Those in `p_over`
-- hear only that they are over.
create function tell_enrollments(p_merge bigint, p_into text, p_from text, p_over text[])
returns boolean language plpgsql as $$
declare
    v_into text[] := ids_of(p_into);
    v_from text[] := ids_of(p_from);
begin
    if not exists (select 1 from enrollment
        where customer_id in (p_into, p_from) and state = 'live')
    then
        return false;
    end if;
    insert into event (
        source_id, message_id, customer_id, type, name, occurred_at, received_at, properties)
    values (
        0, 'merge-' || p_merge, p_into, 'merge', 'customer_merged', clock_timestamp(),
        clock_timestamp(), jsonb_build_object(
            'customer_id', p_into, 'merged', p_from, 'ended', to_jsonb(p_over)));
    with live as (
        select e.id, e.last_number, e.listens, e.id = any (p_over) as over,
            case when e.customer_id = p_into then v_from else v_into end as others,
            t.id as began, t.received_at as began_at
        from enrollment e
            join delivery d on d.enrollment_id = e.id and d.number = 1
            join event t on t.source_id = d.source_id and t.message_id = d.message_id
        where e.customer_id in (p_into, p_from) and e.state = 'live'),
    news as (
        select id, last_number, 0::bigint as at, 0::bigint as source_id,
            'merge-' || p_merge as message_id
        from live
        union all
        select l.id, l.last_number, v.id, v.source_id, v.message_id
        from live l cross join lateral (
            select id, source_id, message_id from event
            where customer_id = any (l.others) and type = 'track' and name = any (l.listens)
            -- Two processes' clocks may differ; the number tells exactly.
            and received_at > l.began_at - interval '1 hour' and id > l.began
            order by id desc limit 1000) v
        where not l.over),
    numbered as (
        insert into delivery (enrollment_id, number, source_id, message_id)
        select id, last_number + row_number() over (partition by id order by at),
            source_id, message_id
        from news),
    reached as (
        select id, last_number + 1 as first, last_number + count(*) as last
        from news group by id, last_number),
    counted as (
        update enrollment e set last_number = r.last from reached r where e.id = r.id)
    insert into backlog as b (enrollment_id, relayed, last)
        select id, first - 1, last from reached
        on conflict (enrollment_id) do update set last = excluded.last;
    return true;
end $$;

-- Two live enrollments of one journey and key become one: the older goes on. The others move,
-- numbered after those of the customer who stays.
create function merge_enrollments(p_merge bigint, p_into text, p_from text)
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
        where i.customer_id = p_into and f.customer_id = p_from and state = 'live';
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

-- Why two customers must not become one, or null. Both are locked.
create function merge_refusal(p_into text, p_from text) returns text language plpgsql as $$
declare
    v_identities int;
    v_names int;
    v_merges int;
begin
    select count(*), count(*) filter (where kind = 'user_id') into v_identities, v_names
        from identity where customer_id in (p_into, p_from);
    if v_names > 10 then
        return 'one customer would have more than 10 user ids';
    elsif v_identities > 500 then
        return 'one customer would have more than 500 identities';
    end if;
    select count(*) into v_merges from customer_merge
        where customer_id = any (ids_of(p_into) || ids_of(p_from)) and refused is null
        and created_at > now() - interval '1 day';
    if v_merges >= 50 then
        return 'one customer would have been merged more than 50 times within a day';
    end if;
    return null;
end $$;

-- Merge, or say in the log why not. Both are locked, and neither has been merged away.
create function merge_customers(
    p_into text, p_from text, p_cause text, p_refused text, p_source bigint, p_message text)
returns boolean language plpgsql as $$
declare
    v_refused text := coalesce(p_refused, merge_refusal(p_into, p_from));
    v_merge bigint;
    v_traits int;
    v_holds int;
    v_enrollments int;
    v_identities int;
    v_messages int;
begin
    if v_refused is not null then
        insert into customer_merge (customer_id, other_id, cause, refused, source_id, message_id)
            values (p_into, p_from, p_cause, v_refused, p_source, p_message)
            on conflict (customer_id, other_id) where refused is not null do nothing;
        return false;
    end if;
    insert into customer_merge (customer_id, other_id, cause, source_id, message_id)
        values (p_into, p_from, p_cause, p_source, p_message) returning id into v_merge;
    -- The ledger before the addresses: in this order a provider's answer takes them, too.
    update message set customer_id = p_into where customer_id = p_from;
    get diagnostics v_messages = row_count;
    v_traits := merge_traits(p_into, p_from, p_source, p_message);
    v_holds := merge_holds(p_into, p_from);
    v_enrollments := merge_enrollments(v_merge, p_into, p_from);
    perform merge_computed(p_from, p_into);
    -- Consent, when the store has it, is merged here: the stricter word wins.
    update identity set customer_id = p_into where customer_id = p_from;
    get diagnostics v_identities = row_count;
    update customer set merged_into = p_into where id = p_from;
    update customer_merge set moved = jsonb_build_object(
        'identities', v_identities, 'traits', v_traits, 'holds', v_holds,
        'enrollments', v_enrollments, 'messages', v_messages)
        where id = v_merge;
    return true;
end $$;

-- Which calls say that two customers are one: a user id and an anonymous id of different
-- customers, the latter's without a name; and every alias.
create function merge_wishes(
    p_user text[], p_anonymous text[], p_type text[], p_effects jsonb[])
returns table (o bigint, user_id text, anonymous_id text, previous_id text, ids text[])
language sql stable as $$
    select u.o, u.user_id, u.anonymous_id, u.previous_id,
        array_remove(array[i.by_user, i.by_device, i.by_previous, i.by_previous_device], null)
    from (
            select x.o, x.user_id, x.anonymous_id,
                case when x.type = 'alias' then x.effects -> 'alias' ->> 'previous_id' end
                    as previous_id
            from unnest(p_user, p_anonymous, p_type, p_effects)
                with ordinality x (user_id, anonymous_id, type, effects, o)
            where x.user_id is not null) u,
        -- Subqueries rather than owner_of: one a row is too many calls.
        lateral (select
            (select customer_id from identity where kind = 'user_id' and value = u.user_id)
                as by_user,
            (select customer_id from identity
                where kind = 'anonymous_id' and value = u.anonymous_id) as by_device,
            (select customer_id from identity where kind = 'user_id' and value = u.previous_id)
                as by_previous,
            (select customer_id from identity
                where kind = 'anonymous_id' and value = u.previous_id) as by_previous_device
            offset 0) i
    where u.previous_id is not null
        or (i.by_device <> i.by_user and not is_named(i.by_device))
    order by u.o
$$;

-- An alias says that `p_previous` names the customer of `p_user`, whether it is used as a user
-- id or as a device's. Returns whether anything changed.
create function merge_alias(p_user text, p_previous text, p_source bigint, p_message text)
returns boolean language plpgsql as $$
declare
    v_into text := owner_of('user_id', p_user);
    v_named text := owner_of('user_id', p_previous);
    v_device text := owner_of('anonymous_id', p_previous);
    v_changed boolean := false;
begin
    if v_named is null and v_device is null then
        insert into identity (kind, value, customer_id)
            values ('user_id', p_previous, v_into), ('anonymous_id', p_previous, v_into)
            on conflict do nothing;
        return found;
    end if;
    if v_named <> v_into then
        v_changed := merge_customers(v_into, v_named, 'alias', null, p_source, p_message);
        v_device := owner_of('anonymous_id', p_previous);
    end if;
    if v_device <> v_into and v_device is distinct from v_named then
        v_changed := merge_customers(
            v_into, v_device, 'alias',
            case when is_named(v_device) then 'a device of a customer with a name of their own' end,
            p_source, p_message) or v_changed;
    end if;
    return v_changed;
end $$;

-- Do what the calls wish for. Takes the locks of `p_lock` too: all in one order. `again` says
-- that who is who must be asked once more, `merged` that somebody was merged.
create function merge_all(
    p_source bigint[], p_message text[], p_user text[], p_anonymous text[], p_type text[],
    p_effects jsonb[], p_lock text[], out again boolean, out merged boolean)
language plpgsql as $$
declare
    r record;
    v_merging text[];
    v_into text;
    v_from text;
begin
    again := false;
    merged := false;
    v_merging := array(
        select distinct unnest(w.ids)
        from merge_wishes(p_user, p_anonymous, p_type, p_effects) w);
    begin
        for r in
            select l.id, l.id = any (v_merging) as merging
            from (select unnest(p_lock) as id union select unnest(v_merging)) l order by l.id
        loop
            if r.merging then  -- also waits for those who are adding an identity
                select merged_into into v_into from customer where id = r.id for update;
            else
                select merged_into into v_into from customer where id = r.id for no key update;
            end if;
            if v_into is not null then
                raise exception using errcode = 'SJ001';
            end if;
        end loop;
    exception when sqlstate 'SJ001' then
        -- Merged while we waited. The block's locks are gone with it: to keep them while
        -- others are taken would be out of order, and a deadlock with the next merge.
        again := true;
        return;
    end;
    for r in
        select w.*, p_source[w.o] as source, p_message[w.o] as message
        from merge_wishes(p_user, p_anonymous, p_type, p_effects) w order by w.o
    loop
        if not r.ids <@ v_merging then  -- it changed before the locks were there
            again := true;
            continue;
        end if;
        if r.previous_id is not null and r.previous_id <> r.user_id then
            merged := merge_alias(r.user_id, r.previous_id, r.source, r.message) or merged;
        end if;
        v_into := owner_of('user_id', r.user_id);
        v_from := owner_of('anonymous_id', r.anonymous_id);
        if v_from <> v_into and not is_named(v_from) then
            merged := merge_customers(v_into, v_from, 'identify', null, r.source, r.message)
                or merged;
        end if;
    end loop;
    again := again or merged;
end $$;
