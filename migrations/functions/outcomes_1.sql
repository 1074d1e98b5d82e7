-- What is told of a message after it was handed over, by its provider or by the app: it reached
-- the customer, it came back, the customer wants no more. Called by `accept`, with the customer
-- locked.

-- Somebody does not want any more at an address, or does again; what happened last decides, in
-- whatever order it is told. Kept by the address, so that no other `identify` forgets it.
--   p_customer: who says so
--   p_by_message: by a message that went there, so that it holds for whoever has the address; who
--     only claims to have an address speaks for nobody else
create function suppress(
    p_channel text, p_address text, p_customer text, p_suppressed boolean, p_by_message boolean,
    p_cause text, p_at timestamptz)
returns void language sql volatile as $$
    insert into suppression as s (
        channel, address, customer_id, suppressed, by_message, cause, told_at)
        values (
            p_channel, lower(p_address), p_customer, p_suppressed, p_by_message, p_cause, p_at)
        on conflict (channel, address, customer_id) do update set
            suppressed = excluded.suppressed,
            by_message = excluded.by_message or s.suppressed and s.by_message,
            cause = excluded.cause, told_at = excluded.told_at
            where s.told_at <= excluded.told_at
$$;

-- Why a customer is unsubscribed at an address, in at most one row: by what they said last
-- themselves, under whatever id, or by what somebody else said who had a message there.
create function unsubscribed(p_customer text, p_channel text, p_address text)
returns setof suppression language sql stable as $$
    with told as materialized (
        select s, s.customer_id = any (ids_of(p_customer)) as own
        from suppression s where s.channel = p_channel and s.address = lower(p_address)),
    said as (
        (select s from told where own order by (s).told_at desc limit 1)
        union all
        select s from told where not own and (s).by_message)
    select (s).* from said where (s).suppressed order by (s).told_at desc limit 1
$$;

-- Tell the enrollment whose message it is that it was settled otherwise than it knows; by a
-- delivery like any other, of the type `journey`: it is no event that the customer did. Returns
-- whether there is something to carry.
create function tell_settled(p_message message, p_detail text) returns boolean language plpgsql as $$
declare
    v_event text := new_id('settled');
    v_number bigint;
begin
    update enrollment set last_number = last_number + 1
        where id = p_message.enrollment_id and state = 'live' returning last_number into v_number;
    if v_number is null then
        return false;
    end if;
    insert into event (
        source_id, message_id, customer_id, type, name, occurred_at, received_at, properties)
    values (
        0, v_event, p_message.customer_id, 'journey', 'message_settled', clock_timestamp(),
        clock_timestamp(), jsonb_build_object(
            'message', p_message.id, 'step', p_message.step, 'channel', p_message.channel,
            'verdict', p_message.verdict, 'reason', p_message.reason, 'detail', p_detail));
    insert into delivery (enrollment_id, number, source_id, message_id)
        values (p_message.enrollment_id, v_number, 0, v_event);
    insert into backlog as b (enrollment_id, relayed, last)
        values (p_message.enrollment_id, v_number - 1, v_number)
        on conflict (enrollment_id) do update set last = excluded.last;
    return true;
end $$;

-- Take a report. Of several about one message what happened last counts, in whatever order they
-- are told. What was accepted stays sent, though it came back; then it neither counts for a cap
-- nor meets an objective. Returns whether an enrollment is told.
--   p_report: {"message_id", "channel", "says", "hard", "detail", "provider_id"}
create function report(p_customer text, p_report jsonb, p_at timestamptz)
returns boolean language plpgsql as $$
declare
    v_before message;
    v_after message;
    v_named message;  -- the message that it names, whoever had it
    v_says text := p_report ->> 'says';
    v_detail text := p_report ->> 'detail';
begin
    -- Somebody else's message is none.
    select * into v_before from message
        where id = p_report ->> 'message_id' and customer_id = p_customer
        and channel = p_report ->> 'channel' for no key update;
    if v_says in ('unsubscribed', 'resubscribed') then
        -- Who knows the message has it, though a browser tells it of a device without a name.
        select * into v_named from message
            where id = p_report ->> 'message_id' and channel = p_report ->> 'channel'
            and address is not null;
        if found then
            perform suppress(v_named.channel, v_named.address, v_named.customer_id,
                v_says = 'unsubscribed', true, v_detail, p_at);
        else
            perform suppress(channel, value, p_customer, v_says = 'unsubscribed', false,
                    v_detail, p_at)
                from address where customer_id = p_customer and channel = p_report ->> 'channel';
        end if;
    end if;
    if v_before.id is null or v_says = 'resubscribed' or v_before.reported_at > p_at then
        return false;
    end if;
    v_after := v_before;
    v_after.reported_at := p_at;
    v_after.provider_id := coalesce(v_before.provider_id, p_report ->> 'provider_id');
    if v_says <> 'bounced' then
        v_after.verdict := 'sent';
        v_after.reason := 'delivered';
    elsif v_before.verdict in ('sending', 'unknown', 'rejected') then
        v_after.verdict := 'rejected';
        v_after.reason := 'bounced';
    elsif v_before.verdict = 'sent' then
        v_after.reason := 'bounced';
    end if;
    if (v_after.verdict, v_after.reason) is distinct from (v_before.verdict, v_before.reason) then
        -- What it says of what was sent is the subject.
        if v_before.verdict <> 'sent' or 'bounced' in (v_before.reason, v_after.reason) then
            v_after.detail := v_detail;
        end if;
        v_after.in_flight_since := null;
        v_after.completed_at := clock_timestamp();
        -- The story of a message that is told of again and again keeps its end, as at the gate.
        v_after.decisions := case when jsonb_array_length(v_before.decisions) < 50
            then v_before.decisions else v_before.decisions - 1 end
            || jsonb_build_array(jsonb_build_object(
                'at', clock_timestamp(), 'verdict', v_after.verdict, 'reason', v_after.reason,
                'detail', v_detail));
    end if;
    update message set verdict = v_after.verdict, reason = v_after.reason,
        detail = v_after.detail, provider_id = v_after.provider_id,
        in_flight_since = v_after.in_flight_since, completed_at = v_after.completed_at,
        reported_at = v_after.reported_at, decisions = v_after.decisions where id = v_after.id;
    if (p_report ->> 'hard')::boolean then
        update address set dead_since = clock_timestamp()
            where customer_id = p_customer and channel = v_after.channel
            and value = v_after.address and dead_since is null
            -- A device that has told its token since then is back.
            and (channel <> 'push' or updated_at < p_at);
    end if;
    -- What a send that is under way will hear from its provider, it need not be told.
    if v_before.verdict <> 'sending'
        and (v_after.verdict <> v_before.verdict
            or 'bounced' in (v_before.reason, v_after.reason) and v_after.reason <> v_before.reason)
    then
        return tell_settled(v_after, v_detail);
    end if;
    return false;
end $$;
