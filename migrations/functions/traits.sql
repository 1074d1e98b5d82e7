-- The history of traits.

-- Keep what an identify call changes: of each trait the last 50 changes.
create function note_traits(p_customer text, p_traits jsonb, p_source bigint, p_message text)
returns void language plpgsql as $$
declare
    v_names text[];
    v_olds jsonb[];
    v_news jsonb[];
begin
    select array_agg(told.key), array_agg(t.value), array_agg(nullif(told.value, 'null'))
        into v_names, v_olds, v_news
        from jsonb_each(p_traits) told
            left join trait t on t.customer_id = p_customer and t.name = told.key
        where coalesce(t.value, 'null') <> told.value;
    if v_names is null then
        return;
    end if;
    delete from trait_change where id in (
        select (
            -- With the one that comes there are 50.
            select id from trait_change
            where customer_id = p_customer and name = changed
            order by id desc offset 49 limit 1)
        from unnest(v_names) changed);
    insert into trait_change (customer_id, name, old_value, new_value, source_id, message_id)
        select p_customer, x.name, x.old, x.new, p_source, p_message
        from unnest(v_names, v_olds, v_news) x (name, old, new);
end $$;
