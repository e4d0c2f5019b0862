/* A segment is written under the name "<number>.new", which recovery ignores, synced, and renamed: so there is never a part of one. */
#include "archive/fetch.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "archive/catalog.h"
#include "archive/segment.h"
#include "base/memory.h"
#include "engine/manifest.h"

struct fetching {
	const struct pd_archive_fetch *fetch;
	struct pd_archive_fetched *fetched;
	uint64_t done_bytes, total_bytes; /* of the files */

	uint32_t chain; /* header_crc of the last group */
	bool chain_known;
};

static int no_memory(struct pd_error *err)
{
	return pd_error_set(err, PD_NO_MEMORY, "out of memory while fetching from an archive");
}

/* ---- which objects ---- */

/* What there is, in words. */
static void describe(const struct pd_archive_catalog *catalog, char text[200])
{
	size_t used = 0;

	(void)snprintf(text, 200, "there is nothing of this log");
	for (size_t i = 0; i < catalog->run_count && used < 150; i++) {
		const struct pd_archive_run *run = &catalog->runs[i];

		if (run->count == 0)
			continue;
		used += (size_t)snprintf(text + used, 200 - used, "%sLSN %" PRIu64 " to %" PRIu64,
					 used == 0 ? "there are " : ", ", run->first_lsn, run->last_lsn);
	}
}

static const struct pd_archive_run *find_run(const struct pd_archive_catalog *catalog, uint64_t lsn)
{
	for (size_t i = catalog->run_count; i-- > 0;)
		if (catalog->runs[i].first_lsn <= lsn && lsn <= catalog->runs[i].last_lsn)
			return &catalog->runs[i];
	return NULL;
}

/* The run that has all that is asked for. */
static int choose_run(const struct pd_archive_fetch *fetch, const struct pd_archive_catalog *catalog,
		      const struct pd_archive_run **ret_run, struct pd_error *err)
{
	uint64_t from = fetch->from.lsn > 0 ? fetch->from.lsn : 1;
	const struct pd_archive_run *run = find_run(catalog, from);
	char there[200];

	describe(catalog, there);
	if (run == NULL)
		return pd_error_set(err, PD_NOT_FOUND,
				    "LSN %" PRIu64
				    ", from which on the log is needed, is not in the archive %s: %s",
				    from, pd_object_store_address(fetch->store), there);
	if (fetch->to_lsn == UINT64_MAX || fetch->to_lsn <= run->last_lsn) {
		*ret_run = run;
		return 0;
	}
	if (run->broken)
		return pd_error_set(
			err, PD_CORRUPT,
			"objects with LSN %" PRIu64 " to %" PRIu64
			" are missing in the archive %s (base %" PRIu64 "): put back a copy of them",
			run->missing_lsn,
			run->missing_end_lsn > run->missing_lsn ? run->missing_end_lsn - 1 : run->missing_lsn,
			pd_object_store_address(fetch->store), run->base);
	return pd_error_set(err, PD_NOT_FOUND, "LSN %" PRIu64 " to %" PRIu64 " are not in the archive %s: %s",
			    run->last_lsn + 1, fetch->to_lsn, pd_object_store_address(fetch->store), there);
}

/* The items first to before end have it. A segment is wanted from its front. */
static int choose_items(const struct pd_archive_fetch *fetch, const struct pd_archive_catalog *catalog,
			const struct pd_archive_run *run, size_t *ret_first, size_t *ret_end,
			struct pd_error *err)
{
	uint64_t from = fetch->from.lsn > 0 ? fetch->from.lsn : 1;
	size_t first = run->first, end = run->first + run->count;
	const struct pd_log_stretch *stretch;

	while (catalog->items[first].part.stretch.last_lsn < from)
		first++;
	stretch = &catalog->items[first].part.stretch;
	if (fetch->from.lsn > 0 && stretch->epoch != fetch->from.epoch)
		return pd_error_set(
			err, PD_CONFLICT,
			"LSN %" PRIu64 " is of epoch %" PRIu64 " in the archive %s, not of epoch %" PRIu64
			": it has the log of another history than this state",
			from, stretch->epoch, pd_object_store_address(fetch->store), fetch->from.epoch);
	/* A large record may begin in a segment before the one in which it ends. */
	while (first > run->first && (catalog->items[first].part.stretch.from > 0 ||
				      catalog->items[first].part.stretch.first_lsn >= from))
		first--;
	while (first > run->first && catalog->items[first].part.stretch.from > 0)
		first--;
	while (fetch->to_lsn != UINT64_MAX && end > first + 1 &&
	       catalog->items[end - 2].part.stretch.last_lsn >= fetch->to_lsn)
		end--;
	*ret_first = first;
	*ret_end = end;
	return 0;
}

/* ---- files ---- */

static char *path_of(const struct fetching *fetching, uint32_t segment, const char *suffix)
{
	return pd_asprintf("%s/%010" PRIu32 ".%s", fetching->fetch->directory, segment, suffix);
}

static bool go_on(void *context, uint64_t bytes)
{
	const struct fetching *fetching = context;
	const struct pd_archive_fetch *fetch = fetching->fetch;

	return fetch->go_on == NULL ||
	       fetch->go_on(fetch->context, fetching->done_bytes + bytes, fetching->total_bytes);
}

static int check_chain(const struct fetching *fetching, const struct pd_archive_segment_got *got,
		       struct pd_error *err)
{
	if (!fetching->chain_known || got->previous_crc == fetching->chain)
		return 0;
	return pd_error_set(err, PD_CORRUPT,
			    "the archive %s is of two histories: what has LSN %" PRIu64 " to %" PRIu64
			    " (segment %010" PRIu32 ") does not follow what is before it",
			    pd_object_store_address(fetching->fetch->store), got->last.first_lsn,
			    got->last.last_lsn, got->last.segment);
}

/* These are of one segment. */
static int fetch_segment(struct fetching *fetching, const struct pd_archive_item *items, size_t count,
			 struct pd_error *err)
{
	const struct pd_archive_fetch *fetch = fetching->fetch;
	struct pd_archive_fetched *fetched = fetching->fetched;
	const struct pd_archive_segment segment = { .os = fetch->os,
						    .store = fetch->store,
						    .log = fetch->log,
						    .items = items,
						    .count = count,
						    .go_on = go_on,
						    .context = fetching };
	char *from = path_of(fetching, items->part.stretch.segment, "new");
	char *to = path_of(fetching, items->part.stretch.segment, "seg");
	struct pd_archive_segment_got got;
	int result = from == NULL || to == NULL ? no_memory(err)
						: pd_archive_segment_get(&segment, from, &got, err);

	if (result == 0)
		result = check_chain(fetching, &got, err);
	if (result == 0)
		result = pd_os_rename(fetch->os, from, to, err);
	pd_free(from);
	pd_free(to);
	if (result != 0)
		return result;
	fetching->chain = got.last_crc;
	fetching->chain_known = true;
	fetching->done_bytes += got.bytes;
	fetched->segments++;
	fetched->objects += count;
	fetched->bytes += got.bytes;
	fetched->last_lsn = got.last.last_lsn;
	fetched->last_epoch = got.last.epoch;
	fetched->last_time_us = got.last.last_time_us;
	return 0;
}

/* ---- all of it ---- */

static int make_directory(const struct pd_archive_fetch *fetch, struct pd_error *err)
{
	struct pd_os_names names;
	int result = pd_os_mkdir(fetch->os, fetch->directory, err);

	if (result != PD_EXISTS)
		return result;
	result = pd_os_list(fetch->os, fetch->directory, &names, err);
	if (result != 0)
		return result;
	if (names.count > 0)
		result = pd_error_set(
			err, PD_EXISTS,
			"there is something in %s already: give a directory that is not there yet",
			fetch->directory);
	pd_os_names_done(&names);
	return result;
}

static int sync_directory(const struct pd_archive_fetch *fetch, struct pd_error *err)
{
	int result = pd_os_sync_directory(fetch->os, fetch->directory, err);
	char *parent = pd_strdup(fetch->directory);
	char *slash = parent == NULL ? NULL : strrchr(parent, '/');

	if (result == 0 && parent == NULL)
		result = no_memory(err);
	if (result == 0 && slash != parent) {
		if (slash != NULL)
			*slash = '\0';
		result = pd_os_sync_directory(fetch->os, slash == NULL ? "." : parent, err);
	}
	pd_free(parent);
	return result;
}

static int fetch_all(struct fetching *fetching, const struct pd_archive_catalog *catalog, size_t first,
		     size_t end, struct pd_error *err)
{
	int result = make_directory(fetching->fetch, err);

	for (size_t i = first; i < end; i++)
		fetching->total_bytes += catalog->items[i].part.stretch.end -
					 catalog->items[i].part.stretch.from;
	fetching->fetched->first_lsn = catalog->items[first].part.stretch.first_lsn;
	for (size_t i = first, next; result == 0 && i < end; i = next) {
		const struct pd_archive_item *items = catalog->items;

		for (next = i + 1;
		     next < end && items[next].part.stretch.segment == items[i].part.stretch.segment;)
			next++;
		result = fetch_segment(fetching, items + i, next - i, err);
	}
	return result == 0 ? sync_directory(fetching->fetch, err) : result;
}

int pd_archive_fetch(const struct pd_archive_fetch *fetch, struct pd_archive_fetched *ret_fetched,
		     struct pd_error *err)
{
	struct pd_archive_fetched fetched = { 0 };
	struct fetching fetching = { .fetch = fetch, .fetched = &fetched };
	struct pd_archive_catalog catalog;
	const struct pd_archive_run *run = NULL;
	size_t first = 0, end = 0;
	int result;

	pd_archive_catalog_init(&catalog);
	result = pd_archive_catalog_load(&catalog, fetch->store, &fetch->log, 0, err);
	if (result == 0)
		result = choose_run(fetch, &catalog, &run, err);
	if (result == 0)
		result = choose_items(fetch, &catalog, run, &first, &end, err);
	if (result == 0) {
		fetched.base = run->base;
		result = fetch_all(&fetching, &catalog, first, end, err);
	}
	pd_archive_catalog_done(&catalog);
	if (result == 0)
		*ret_fetched = fetched;
	return result;
}

int pd_archive_fetch_finish(const struct pd_archive_fetch *fetch, const struct pd_archive_fetched *fetched,
			    const char *data_directory, struct pd_error *err)
{
	struct pd_manifest manifest = { .shards = 1,
					.epoch = fetched->last_epoch,
					.next_epoch = pd_manifest_far_epoch(fetch->os, fetched->last_epoch) };
	int result = pd_os_sync_directory(fetch->os, data_directory, err);

	memcpy(manifest.cluster_id, fetch->log.cluster_id, sizeof manifest.cluster_id);
	return result == 0 ? pd_manifest_write(fetch->os, data_directory, &manifest, err) : result;
}
