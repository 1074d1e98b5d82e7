-- The history of traits.

-- Keep what an identify call changes: of each trait the last 50 changes. A plan may be as old as
-- when the tables were empty: it must use the indexes all the same.
create function note_traits(p_customer text, p_traits jsonb, p_source bigint, p_message text)
returns void language plpgsql set enable_seqscan = off as $$
declare
    r record;
begin
    for r in
        select x.name, x.old, nullif(x.new, 'null') as new
        from (
            select told.key as name, told.value as new, (
                select t.value from trait t
                where t.customer_id = p_customer and t.name = told.key) as old
            from jsonb_each(p_traits) told) x
        where coalesce(x.old, 'null') <> x.new
    loop
        delete from trait_change where id = (
            select h.id from trait_change h
            where h.customer_id = p_customer and h.name = r.name
            order by h.id desc offset 49 limit 1);
        insert into trait_change (
            customer_id, name, old_value, new_value, source_id, message_id)
        values (p_customer, r.name, r.old, r.new, p_source, p_message);
    end loop;
end $$;
