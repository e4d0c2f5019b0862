/* What an archive has, by the names of its objects. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "archive/catalog.h"
#include "archive/segment.h"
#include "backup/further.h"
#include "base/memory.h"

struct archived {
	struct pd_further further;
	struct pd_os *os;
	struct pd_object_store *store;
	struct pd_archive_log log;
	struct pd_archive_catalog catalog;
};

/* ---- what there is ---- */

struct others {
	const struct pd_archive_log *own;
	bool has_own; /* objects that are no part of the log, as claims */
	char text[200];
	size_t used;
};

static int see_log(void *context, const struct pd_archive_log *log, struct pd_error *err)
{
	struct others *others = context;
	char name[PD_ARCHIVE_NAME_SIZE];

	(void)err;
	if (log->shard == others->own->shard &&
	    memcmp(log->cluster_id, others->own->cluster_id, sizeof log->cluster_id) == 0) {
		others->has_own = true;
		return 0;
	}
	pd_archive_prefix(log, name);
	name[2 * PD_CLUSTER_ID_SIZE] = '\0';
	if (others->used + strlen(name) + 3 < sizeof others->text)
		others->used += (size_t)snprintf(others->text + others->used,
						 sizeof others->text - others->used, "%s%s",
						 others->used > 0 ? ", " : "", name);
	return 0;
}

static int nothing_there(struct archived *archived, struct pd_error *err)
{
	struct others others = { .own = &archived->log };
	char name[PD_ARCHIVE_NAME_SIZE];
	int result = pd_archive_logs(archived->store, see_log, &others, err);

	if (result != 0)
		return result;
	if (others.has_own)
		return pd_error_set(
			err, PD_NOT_FOUND,
			"%s has nothing of the log any more: put back a copy of its objects, or leave it out",
			archived->further.name);
	pd_archive_prefix(&archived->log, name);
	name[2 * PD_CLUSTER_ID_SIZE] = '\0';
	return pd_error_set(
		err, PD_NOT_FOUND,
		"%s has no log of the cluster that was backed up (%s): %s%s. Give its own archive",
		archived->further.name, name, others.used > 0 ? "it is of " : "there is nothing in it",
		others.text);
}

/* The items from `first` on that make up one segment from its front; *ret_next: behind all of that segment's. What does not go on is out of reach. */
static int add_segment(struct archived *archived, size_t first, size_t *ret_next, struct pd_error *err)
{
	const struct pd_archive_item *items = archived->catalog.items;
	const struct pd_log_stretch *front = &items[first].part.stretch;
	struct pd_further_segment segment = { .number = front->segment,
					      .epoch = front->epoch,
					      .first_lsn = front->first_lsn,
					      .last_lsn = front->last_lsn,
					      .first_time_us = front->first_time_us,
					      .last_time_us = front->last_time_us,
					      .bytes = front->end,
					      .first = first,
					      .count = 1 };
	bool goes_on = true;
	size_t i;

	for (i = first + 1; i < archived->catalog.count && items[i].part.base == items[first].part.base &&
			    items[i].part.stretch.segment == front->segment;
	     i++) {
		const struct pd_log_stretch *stretch = &items[i].part.stretch;

		if (stretch->last_lsn > archived->further.newest_lsn)
			archived->further.newest_lsn = stretch->last_lsn;
		goes_on = goes_on && stretch->from == segment.bytes &&
			  stretch->first_lsn == segment.last_lsn + 1 && stretch->epoch == segment.epoch;
		if (!goes_on)
			continue;
		segment.count++;
		segment.bytes = stretch->end;
		segment.last_lsn = stretch->last_lsn;
		segment.last_time_us = stretch->last_time_us;
	}
	*ret_next = i;
	if (front->from == 0)
		return pd_further_add(&archived->further, &segment, err);
	if (front->last_lsn > archived->further.newest_lsn)
		archived->further.newest_lsn = front->last_lsn;
	return 0;
}

static int load(struct archived *archived, struct pd_error *err)
{
	size_t next;
	int result = pd_archive_catalog_load(&archived->catalog, archived->store, &archived->log, 0, err);

	if (result == 0 && archived->catalog.count == 0)
		result = nothing_there(archived, err);
	for (size_t i = 0; result == 0 && i < archived->catalog.count; i = next)
		result = add_segment(archived, i, &next, err);
	pd_further_sort(&archived->further);
	return result;
}

/* ---- a segment ---- */

static int fetch(struct pd_further *further, size_t n, const char *path,
		 bool (*go_on)(void *context, uint64_t bytes), void *context, struct pd_error *err)
{
	const struct archived *archived = (const struct archived *)further;
	const struct pd_archive_segment segment = { .os = archived->os,
						    .store = archived->store,
						    .log = archived->log,
						    .items = archived->catalog.items +
							     further->segments[n].first,
						    .count = further->segments[n].count,
						    .go_on = go_on,
						    .context = context };
	struct pd_archive_segment_got got;

	return pd_archive_segment_get(&segment, path, &got, err);
}

static void archived_free(struct pd_further *further)
{
	struct archived *archived = (struct archived *)further;

	pd_archive_catalog_done(&archived->catalog);
	pd_object_store_free(archived->store);
	pd_free(archived);
}

static const struct pd_further_ops ops = { .kind = "archive", .fetch = fetch, .free = archived_free };

int pd_further_archive_in(struct pd_os *os, struct pd_object_store *store,
			  const uint8_t cluster_id[PD_CLUSTER_ID_SIZE], uint32_t shard,
			  struct pd_further **ret_further, struct pd_error *err)
{
	struct archived *archived = pd_calloc(1, sizeof *archived);
	int result;

	if (archived == NULL) {
		pd_object_store_free(store);
		return pd_error_set(err, PD_NO_MEMORY, "out of memory for an archive");
	}
	archived->further.ops = &ops;
	archived->os = os;
	archived->store = store;
	archived->log.shard = shard;
	memcpy(archived->log.cluster_id, cluster_id, sizeof archived->log.cluster_id);
	pd_archive_catalog_init(&archived->catalog);
	archived->further.name = pd_asprintf("the archive %s", pd_object_store_address(store));
	result = archived->further.name == NULL
			 ? pd_error_set(err, PD_NO_MEMORY, "out of memory for an archive")
			 : load(archived, err);
	if (result == 0)
		*ret_further = &archived->further;
	else
		pd_further_free(&archived->further);
	return result;
}

int pd_further_archive_new(struct pd_os *os, const struct pd_object_place *place,
			   const uint8_t cluster_id[PD_CLUSTER_ID_SIZE], uint32_t shard,
			   struct pd_further **ret_further, struct pd_error *err)
{
	struct pd_object_store *store;
	int result = pd_object_place_open(os, place, "archive", &store, err);

	return result == 0 ? pd_further_archive_in(os, store, cluster_id, shard, ret_further, err) : result;
}
