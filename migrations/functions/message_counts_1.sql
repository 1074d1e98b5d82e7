-- How many messages the ledger has by verdict and channel, counted as they change: to count the
-- ledger itself would take longer with every message. A change is a row of its own, because one
-- row for each count would be waited for by every transaction of the gate.

create function count_message() returns trigger language plpgsql as $$
begin
    if tg_op = 'UPDATE' and new.verdict = old.verdict then
        return null;
    end if;
    if tg_op <> 'INSERT' then
        insert into message_change (verdict, channel, by) values (old.verdict, old.channel, -1);
    end if;
    if tg_op <> 'DELETE' then
        insert into message_change (verdict, channel, by) values (new.verdict, new.channel, 1);
    end if;
    return null;
end $$;

-- The counts. Adds the changes since the last time to them first, unless somebody is at it.
create function message_counts(out verdict text, out channel text, out messages bigint)
returns setof record language plpgsql as $$
#variable_conflict use_column
begin
    if pg_try_advisory_xact_lock(hashtext('message_counts')) then
        with taken as (delete from message_change returning verdict, channel, by)
        insert into message_count as c (verdict, channel, messages)
            select verdict, channel, sum(by) from taken group by verdict, channel
            on conflict (verdict, channel) do update set messages = c.messages + excluded.messages;
    end if;
    return query
        select x.verdict, x.channel, sum(x.messages)::bigint from (
            select verdict, channel, messages from message_count
            union all select verdict, channel, by::bigint from message_change) x
        group by x.verdict, x.channel;
end $$;
