-- What an identify call says, once more: a device that is told by one customer is no other's.

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
    -- But a device has one user at a time: what is for the one before must not be shown to this one.
    delete from address where channel = 'push' and value = p_effects -> 'addresses' ->> 'push'
        and customer_id <> p_customer;
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
