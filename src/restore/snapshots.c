#include "restore/snapshots.h"

#include "base/timestamp.h"
#include "engine/engine.h"
#include "engine/snapshot.h"

static void write_text(struct pd_resp_writer *reply, const char *name, struct pd_slice text)
{
	pd_resp_write_bulk_string(reply, name);
	pd_resp_write_bulk(reply, text);
}

static void write_number(struct pd_resp_writer *reply, const char *name, uint64_t number)
{
	pd_resp_write_bulk_string(reply, name);
	pd_resp_write_integer(reply, (int64_t)number);
}

/* 0: "". */
static void write_time(struct pd_resp_writer *reply, const char *name, uint64_t time_us)
{
	char text[PD_TIMESTAMP_SIZE] = "";

	if (time_us != 0)
		pd_timestamp_format(time_us, 6, text);
	write_text(reply, name, pd_slice_string(text));
}

static void write_one(struct pd_resp_writer *reply, const struct pd_snapshot_info *info)
{
	const struct pd_snapshot_record *record = &info->record;
	char bookmark[PD_BOOKMARK_SIZE], hash[33];

	pd_bookmark_format(0, record->epoch, record->lsn, bookmark);
	pd_hash128_format(record->hash, hash);
	pd_resp_write_map(reply, 9);
	write_text(reply, "actor", info->actor);
	write_text(reply, "snapshot", info->name);
	write_text(reply, "at", pd_slice_string(bookmark));
	write_time(reply, "at_time", record->time_us);
	write_time(reply, "made", record->made_us);
	write_time(reply, "until", record->keep_us != 0 ? record->made_us + record->keep_us : 0);
	write_number(reply, "keys", info->keys);
	write_number(reply, "bytes", info->bytes);
	write_text(reply, "hash", pd_slice_string(hash));
}

void pd_snapshots_list(struct pd_engine *engine, struct pd_session *session, struct pd_slice actor,
		       struct pd_resp_writer *reply)
{
	struct pd_snapshot_info info = { 0 };
	size_t count = 0;

	while (pd_engine_next_snapshot(engine, session, actor, info.record.copy, &info))
		count++;
	pd_resp_write_array(reply, count);
	info.record.copy = 0;
	while (pd_engine_next_snapshot(engine, session, actor, info.record.copy, &info))
		write_one(reply, &info);
}
