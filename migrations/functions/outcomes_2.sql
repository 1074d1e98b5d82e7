-- Taking a report, once more: what is told of a message again and again does not make its row grow,
-- and who unsubscribes by a message is unsubscribed where it went, whoever the event is about. See
-- outcomes_1.sql for what it calls.

-- Take a report. Of several about one message what happened last counts, in whatever order they
-- are told. What was accepted stays sent, though it came back; then it neither counts for a cap
-- nor meets an objective. Returns whether an enrollment is told.
--   p_report: {"message_id", "channel", "says", "hard", "detail", "provider_id"}
create function report(p_customer text, p_report jsonb, p_at timestamptz)
returns boolean language plpgsql as $$
declare
    v_before message;
    v_after message;
    v_address text;
    v_says text := p_report ->> 'says';
    v_detail text := p_report ->> 'detail';
begin
    -- Somebody else's message is none.
    select * into v_before from message
        where id = p_report ->> 'message_id' and customer_id = p_customer
        and channel = p_report ->> 'channel' for no key update;
    if v_says in ('unsubscribed', 'resubscribed') then
        -- Who knows the message has it, though a browser tells it of a device without a name.
        v_address := coalesce(v_before.address, (
            select address from message
            where id = p_report ->> 'message_id' and channel = p_report ->> 'channel'));
        perform suppress(p_report ->> 'channel', address, v_says = 'unsubscribed', v_detail, p_at)
            from (
                select v_address where v_address is not null
                union all
                select value from address where v_address is null
                    and customer_id = p_customer and channel = p_report ->> 'channel') a (address);
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
