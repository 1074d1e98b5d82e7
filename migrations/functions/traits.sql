-- The history of traits.

-- Keep what an identify call changes: of each trait the last 50 changes.
create function note_traits(p_customer text, p_traits jsonb, p_source bigint, p_message text)
returns void language sql as $$
    with changed as (
        insert into trait_change (
            customer_id, name, old_value, new_value, source_id, message_id)
        select p_customer, told.key, t.value, nullif(told.value, 'null'), p_source, p_message
        from jsonb_each(p_traits) told
            left join trait t on t.customer_id = p_customer and t.name = told.key
        where coalesce(t.value, 'null') <> told.value
        returning name)
    delete from trait_change h using changed, lateral (
        -- The new one is not visible yet: with it there are 50.
        select id from trait_change
        where customer_id = p_customer and name = changed.name
        order by id desc offset 49 limit 1) surplus
    where h.customer_id = p_customer and h.name = changed.name and h.id <= surplus.id
$$;
