/* What orders are answered with. */
#include <assert.h>

#include "model/relation/relation.h"
#include "restore/job_private.h"
#include "store/memtable.h"
#include "wire/resp.h"

static void write_text(struct pd_resp_writer *reply, const char *name, struct pd_slice text)
{
	pd_resp_write_bulk_string(reply, name);
	pd_resp_write_bulk(reply, text);
}

static void write_bookmark(struct pd_resp_writer *reply, const char *name, uint64_t epoch, uint64_t lsn)
{
	char text[PD_BOOKMARK_SIZE];

	pd_bookmark_format(0, epoch, lsn, text);
	write_text(reply, name, pd_slice_string(text));
}

static void write_number(struct pd_resp_writer *reply, const char *name, uint64_t number)
{
	pd_resp_write_bulk_string(reply, name);
	pd_resp_write_integer(reply, (int64_t)number);
}

void pd_restore_write_made(struct pd_restore_job *job)
{
	struct pd_resp_writer reply = { .buffer = &job->reply, .protocol = job->protocol };
	const struct pd_moment *moment = &job->source.moment;
	char when[PD_TIMESTAMP_SIZE], hash[33];

	pd_timestamp_format(moment->time_us, 6, when);
	pd_hash128_format(job->is, hash);
	pd_resp_write_map(&reply, 8);
	write_text(&reply, "actor", job->order.name);
	write_bookmark(&reply, "at", moment->epoch, moment->lsn);
	write_text(&reply, "at_time", pd_slice_string(when));
	write_number(&reply, "keys", job->copy.keys);
	write_number(&reply, "bytes", job->copy.bytes);
	write_text(&reply, "hash", pd_slice_string(hash));
	write_bookmark(&reply, "bookmark", job->receipt.epoch, job->receipt.lsn);
	write_text(&reply, "durability", pd_slice_string(pd_level_name(job->receipt.level)));
	assert(reply.failed == 0);
}

void pd_restore_write_changed(struct pd_restore_job *job)
{
	struct pd_resp_writer reply = { .buffer = &job->reply, .protocol = job->protocol };
	const struct pd_moment *moment = &job->source.moment;
	bool replace = job->plan.way == PD_RESTORE_REPLACE, done = job->receipt.lsn != 0;
	char when[PD_TIMESTAMP_SIZE];

	pd_timestamp_format(moment->time_us, 6, when);
	pd_resp_write_map(&reply, done ? 11 : 8);
	write_text(&reply, "actor", job->order.name);
	write_text(&reply, "way", pd_slice_string(pd_restore_way_name(job->plan.way)));
	pd_resp_write_bulk_string(&reply, "dry_run");
	pd_resp_write_boolean(&reply, job->order.dry_run);
	write_bookmark(&reply, "at", moment->epoch, moment->lsn);
	write_text(&reply, "at_time", pd_slice_string(when));
	write_number(&reply, "put", replace ? pd_past_key_count(job->source.past) : job->plan.inverse.put);
	write_number(&reply, "deleted", replace ? job->keys_now : job->plan.inverse.deleted);
	write_number(&reply, "bytes", replace ? job->copy.bytes : job->plan.inverse.entries.size);
	if (!done)
		return;
	write_bookmark(&reply, "bookmark", job->receipt.epoch, job->receipt.lsn);
	write_bookmark(&reply, "undo", job->receipt.epoch, job->receipt.lsn - 1);
	write_text(&reply, "durability", pd_slice_string(pd_level_name(job->receipt.level)));
	assert(reply.failed == 0);
}

void pd_restore_write_related(struct pd_restore_job *job)
{
	struct pd_resp_writer reply = { .buffer = &job->reply, .protocol = job->protocol };
	const struct pd_moment *moment = &job->source.moment;
	bool done = job->receipt.lsn != 0;
	char when[PD_TIMESTAMP_SIZE];

	pd_timestamp_format(moment->time_us, 6, when);
	pd_resp_write_map(&reply, done ? 10 : 7);
	write_text(&reply, "actor", job->order.name);
	pd_resp_write_bulk_string(&reply, "dry_run");
	pd_resp_write_boolean(&reply, job->order.dry_run);
	write_bookmark(&reply, "at", moment->epoch, moment->lsn);
	write_text(&reply, "at_time", pd_slice_string(when));
	write_number(&reply, "related", job->related.related);
	write_number(&reply, "ended", job->related.ended);
	write_number(&reply, "missing", job->related.missing);
	if (!done)
		return;
	write_bookmark(&reply, "bookmark", job->receipt.epoch, job->receipt.lsn);
	write_bookmark(&reply, "undo", job->receipt.epoch, job->receipt.lsn - 1);
	write_text(&reply, "durability", pd_slice_string(pd_level_name(job->receipt.level)));
	assert(reply.failed == 0);
}

void pd_restore_write_snapshot(struct pd_restore_job *job)
{
	struct pd_resp_writer reply = { .buffer = &job->reply, .protocol = job->protocol };
	const struct pd_moment *moment = &job->source.moment;
	bool made = job->order.verb == PD_RESTORE_SNAPSHOT;
	char when[PD_TIMESTAMP_SIZE], hash[33];

	pd_timestamp_format(moment->time_us, 6, when);
	pd_hash128_format(job->all, hash);
	pd_resp_write_map(&reply, made ? 9 : 6);
	write_text(&reply, "actor", job->order.name);
	write_text(&reply, "snapshot", job->order.snapshot);
	write_bookmark(&reply, "at", moment->epoch, moment->lsn);
	write_text(&reply, "at_time", pd_slice_string(when));
	write_number(&reply, "keys", pd_past_key_count(job->source.past));
	write_text(&reply, "hash", pd_slice_string(hash));
	if (!made)
		return;
	write_number(&reply, "bytes", job->copy.bytes);
	write_bookmark(&reply, "bookmark", job->receipt.epoch, job->receipt.lsn);
	write_text(&reply, "durability", pd_slice_string(pd_level_name(job->receipt.level)));
	assert(reply.failed == 0);
}

/* Those of an import that were not taken up. */
static void write_missing(struct pd_resp_writer *reply, const struct pd_relations_arrival *arrival,
			  uint64_t count)
{
	size_t n = 0;

	pd_resp_write_bulk_string(reply, "missing");
	pd_resp_write_array(reply, (size_t)(count - arrival->related));
	for (size_t at = 0; at < arrival->entries.size; n++) {
		struct pd_relation relation = { 0 };
		struct pd_entry entry;

		pd_entry_read(arrival->entries.data + at, 0, &entry);
		at += pd_entry_size(entry.bytes);
		if (!arrival->missing[n])
			continue;
		(void)pd_relation_read_key(entry.key, &relation);
		pd_resp_write_map(reply, 3);
		write_text(reply, "direction", pd_slice_string(pd_relation_side_name(relation.side)));
		write_text(reply, "kind", relation.kind);
		write_text(reply, "actor", relation.other);
	}
}

void pd_restore_write_imported(struct pd_restore_job *job)
{
	uint64_t relations = job->arrival.entries.size > 0 ? job->reader.relation_count : 0;
	struct pd_resp_writer reply = { .buffer = &job->reply, .protocol = job->protocol };
	bool replaced = job->known.actor != 0;
	char hash[33];

	pd_hash128_format(job->is, hash);
	pd_resp_write_map(&reply, replaced ? 9 : 8);
	write_text(&reply, "actor", job->order.name);
	write_number(&reply, "keys", job->reader.keys);
	write_number(&reply, "bytes", job->reader.entry_bytes);
	write_text(&reply, "hash", pd_slice_string(hash));
	write_number(&reply, "related", job->arrival.related);
	write_missing(&reply, &job->arrival, relations);
	write_bookmark(&reply, "bookmark", job->receipt.epoch, job->receipt.lsn);
	write_text(&reply, "durability", pd_slice_string(pd_level_name(job->receipt.level)));
	/* What it was before it took the other's place. */
	if (replaced)
		write_bookmark(&reply, "undo", job->receipt.epoch, job->receipt.lsn - 1);
	assert(reply.failed == 0);
}
