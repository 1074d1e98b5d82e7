-- A customer's clock is another's: tell every journey of theirs that is under way, which may wait
-- for a time where they are. By a delivery like any other, of the type `journey`: it is no event
-- that the customer did. The update that sets it off holds the customer's lock.
create function tell_time_zone() returns trigger language plpgsql as $$
declare
    v_message text := new_id('zone');
begin
    with told as (
        update enrollment set last_number = last_number + 1
            where customer_id = new.id and state = 'live'
            returning id, last_number),
    numbered as (
        insert into delivery (enrollment_id, number, source_id, message_id)
        select id, last_number, 0, v_message from told)
    insert into backlog as b (enrollment_id, relayed, last)
        select id, last_number - 1, last_number from told
        on conflict (enrollment_id) do update set last = excluded.last;
    if found then
        insert into event (
            source_id, message_id, customer_id, type, name, occurred_at, received_at, properties)
        values (
            0, v_message, new.id, 'journey', 'time_zone_changed', clock_timestamp(),
            clock_timestamp(), jsonb_build_object('time_zone', new.time_zone));
    end if;
    return null;
end $$;
