-- Of merge.sql, what tasks, experiments and sub-journeys add to. Replaces the functions there.

-- An enrollment is over. Called and not answered: it may have been sent, and a late answer still
-- completes the row. What was parked will not be sent any more, and the ledger says so. Nobody
-- need answer its tasks any more, and whoever waits for its end is told.
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
    perform withdraw_tasks(p_enrollment, v_detail);
    perform tell_parent(p_enrollment);
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
    perform merge_people(p_into, p_from);
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
