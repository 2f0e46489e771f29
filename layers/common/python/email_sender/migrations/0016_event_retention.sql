-- Months of events that are past their time, whole partitions at once.
set local search_path to email_sender;

-- Returns how many partitions were dropped. What lies outside any month's partition goes by its own time.
create function drop_event_partitions(kept_months integer) returns integer
    language plpgsql security definer set search_path to email_sender, pg_temp as $$
declare
    cut date := (date_trunc('month', current_date) - make_interval(months => kept_months))::date;
    partition text;
    dropped integer := 0;
begin
    if kept_months < 1 then
        raise exception 'at least a month of events is kept' using errcode = 'check_violation';
    end if;
    for partition in
        select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
        where i.inhparent = 'email_sender.events'::regclass and c.relname ~ '^events_[0-9]{6}$'
          and to_date(right(c.relname, 6), 'YYYYMM') < cut
    loop
        execute format('drop table email_sender.%I', partition);
        dropped := dropped + 1;
    end loop;
    delete from events_default where occurred_at < cut;
    return dropped;
end $$;
revoke all on function drop_event_partitions from public;
grant execute on function drop_event_partitions to platform;
