#include "archive/catalog.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"

static int no_memory(struct pd_error *err)
{
	return pd_error_set(err, PD_NO_MEMORY, "out of memory for the list of an archive");
}

void pd_archive_catalog_init(struct pd_archive_catalog *catalog)
{
	*catalog = (struct pd_archive_catalog){ 0 };
}

void pd_archive_catalog_done(struct pd_archive_catalog *catalog)
{
	pd_free(catalog->items);
	pd_free(catalog->runs);
	pd_free(catalog->hidden);
	pd_free(catalog->expired);
	pd_free(catalog->keeps);
	pd_archive_catalog_init(catalog);
}

/* ---- the list ---- */

static int add_item(struct pd_archive_catalog *catalog, const struct pd_archive_item *item,
		    struct pd_error *err)
{
	struct pd_archive_item *items = pd_grow(catalog->items, catalog->count, &catalog->capacity,
						sizeof *items, 64);

	if (items == NULL)
		return no_memory(err);
	catalog->items = items;
	items[catalog->count++] = *item;
	return 0;
}

static int hide(struct pd_archive_catalog *catalog, const struct pd_archive_item *item, struct pd_error *err)
{
	struct pd_archive_item *hidden = pd_grow(catalog->hidden, catalog->hidden_count,
						 &catalog->hidden_capacity, sizeof *hidden, 16);

	if (hidden == NULL)
		return no_memory(err);
	catalog->hidden = hidden;
	hidden[catalog->hidden_count++] = *item;
	return 0;
}

/* The latest of a base comes last. */
static int add_keep(struct pd_archive_catalog *catalog, uint64_t base, uint64_t lsn, struct pd_error *err)
{
	struct pd_archive_keep *keeps;

	if (catalog->keep_count > 0 && catalog->keeps[catalog->keep_count - 1].base == base) {
		catalog->keeps[catalog->keep_count - 1].lsn = lsn;
		return 0;
	}
	keeps = pd_grow(catalog->keeps, catalog->keep_count, &catalog->keep_capacity, sizeof *keeps, 8);
	if (keeps == NULL)
		return no_memory(err);
	catalog->keeps = keeps;
	keeps[catalog->keep_count++] = (struct pd_archive_keep){ base, lsn };
	return 0;
}

/* 0: from its beginning on. */
static uint64_t kept_from(const struct pd_archive_catalog *catalog, uint64_t base)
{
	for (size_t i = 0; i < catalog->keep_count; i++)
		if (catalog->keeps[i].base == base)
			return catalog->keeps[i].lsn;
	return 0;
}

/* Names come in order: so do items. */
static int list(struct pd_archive_catalog *catalog, struct pd_object_store *store,
		const struct pd_archive_log *log, const char *prefix, struct pd_error *err)
{
	char after[PD_OBJECT_NAME_MAX + 1] = "";
	bool more = true;
	int result = 0;

	while (result == 0 && more) {
		struct pd_object_page page;

		result = pd_object_list(store, prefix, after, PD_OBJECT_PAGE_MAX, &page, err);
		if (result != 0)
			return result;
		for (size_t i = 0; result == 0 && i < page.count; i++) {
			struct pd_archive_item item = { .bytes = page.entries[i].size };
			uint64_t base, lsn;

			if (pd_archive_keep_parse(log, page.entries[i].name, &base, &lsn))
				result = add_keep(catalog, base, lsn, err);
			else if (pd_archive_part_parse(log, page.entries[i].name, &item.part))
				result = add_item(catalog, &item, err);
		}
		more = page.more;
		if (page.count > 0)
			(void)snprintf(after, sizeof after, "%s", page.entries[page.count - 1].name);
		pd_object_page_done(&page);
	}
	return result;
}

/* ---- what counts ---- */

static bool same_segment(const struct pd_archive_item *a, const struct pd_archive_item *b)
{
	return a->part.base == b->part.base && a->part.stretch.segment == b->part.stretch.segment;
}

/* Of one segment's items, first to before end: the whole, or a chain of pieces, each time the longest that goes on. */
static int keep_of_segment(struct pd_archive_catalog *catalog, size_t first, size_t end, size_t *kept,
			   struct pd_error *err)
{
	size_t begin = *kept;
	uint64_t at = 0;
	bool whole = false;
	int result = 0;

	for (size_t i = first; i < end && !whole; i++)
		if (catalog->items[i].part.kind == PD_ARCHIVE_WHOLE) {
			struct pd_archive_item item = catalog->items[i];

			for (size_t j = first; result == 0 && j < end; j++)
				if (j != i)
					result = hide(catalog, catalog->items + j, err);
			catalog->items[(*kept)++] = item;
			whole = true;
		}
	/* They are in the order of `from`, then of `end`. */
	for (size_t i = first; result == 0 && i < end && !whole; i++) {
		const struct pd_archive_item item = catalog->items[i];
		const struct pd_log_stretch *stretch = &item.part.stretch;

		if (*kept > begin && stretch->from == catalog->items[*kept - 1].part.stretch.from) {
			result = hide(catalog, catalog->items + *kept - 1, err);
			catalog->items[*kept - 1] = item;
			at = stretch->end;
		} else if (stretch->from < at) {
			result = hide(catalog, &item, err);
		} else {
			catalog->items[(*kept)++] = item;
			at = stretch->end;
		}
	}
	return result;
}

static int keep_what_counts(struct pd_archive_catalog *catalog, struct pd_error *err)
{
	size_t kept = 0, end;
	int result = 0;

	for (size_t first = 0; result == 0 && first < catalog->count; first = end) {
		for (end = first + 1;
		     end < catalog->count && same_segment(catalog->items + first, catalog->items + end);
		     end++)
			continue;
		result = keep_of_segment(catalog, first, end, &kept, err);
	}
	catalog->count = kept;
	return result;
}

/* Does it count, now that its base begins there? A segment's last part, in which no record ends, is of the segment that it is the end of. */
static bool is_kept(const struct pd_log_stretch *stretch, uint64_t lsn)
{
	return stretch->last_lsn >= lsn || stretch->first_lsn > lsn ||
	       (stretch->first_lsn == lsn && stretch->from == 0);
}

/* What lies before a base's new beginning. */
static int set_expired_aside(struct pd_archive_catalog *catalog, struct pd_error *err)
{
	size_t kept = 0;

	if (catalog->keep_count == 0)
		return 0;
	for (size_t i = 0; i < catalog->count; i++) {
		const struct pd_archive_item item = catalog->items[i];
		struct pd_archive_item *expired;

		if (is_kept(&item.part.stretch, kept_from(catalog, item.part.base))) {
			catalog->items[kept++] = item;
			continue;
		}
		expired = pd_grow(catalog->expired, catalog->expired_count, &catalog->expired_capacity,
				  sizeof *expired, 16);
		if (expired == NULL)
			return no_memory(err);
		catalog->expired = expired;
		expired[catalog->expired_count++] = item;
	}
	catalog->count = kept;
	return 0;
}

/* ---- runs ---- */

static bool follows(const struct pd_archive_part *before, const struct pd_archive_part *part)
{
	const struct pd_log_stretch *a = &before->stretch, *b = &part->stretch;

	if (b->first_lsn != a->last_lsn + 1 || b->epoch < a->epoch)
		return false;
	if (a->segment == b->segment)
		return !a->sealed && b->from == a->end && a->epoch == b->epoch;
	return a->sealed && b->from == 0 && b->segment > a->segment;
}

static void measure(struct pd_archive_run *run, const struct pd_archive_item *item)
{
	if (run->count == 0)
		run->first_time_us = item->part.stretch.first_time_us;
	run->count++;
	run->last_lsn = item->part.stretch.last_lsn;
	run->last_time_us = item->part.stretch.last_time_us;
	run->epoch = item->part.stretch.epoch;
	run->bytes += item->bytes;
}

/* The run of the base whose items begin at `first`. Returns where the next base's begin. */
static size_t take_run(const struct pd_archive_catalog *catalog, size_t first, struct pd_archive_run *run)
{
	size_t i;

	*run = (struct pd_archive_run){ .base = catalog->items[first].part.base, .first = first };
	run->first_lsn = kept_from(catalog, run->base);
	if (run->first_lsn < run->base)
		run->first_lsn = run->base;
	run->last_lsn = run->first_lsn - 1;
	for (i = first; i < catalog->count && catalog->items[i].part.base == run->base; i++) {
		const struct pd_archive_part *part = &catalog->items[i].part;
		bool fits = i == first ? part->stretch.from == 0 && part->stretch.first_lsn == run->first_lsn
				       : follows(&catalog->items[i - 1].part, part);

		if (!run->broken && !fits) {
			run->broken = true;
			run->missing_lsn = run->last_lsn + 1;
			run->missing_end_lsn = part->stretch.first_lsn;
		}
		if (!run->broken)
			measure(run, catalog->items + i);
	}
	return i;
}

static int find_runs(struct pd_archive_catalog *catalog, struct pd_error *err)
{
	for (size_t first = 0; first < catalog->count;) {
		struct pd_archive_run *runs = pd_grow(catalog->runs, catalog->run_count,
						      &catalog->run_capacity, sizeof *runs, 8);

		if (runs == NULL)
			return no_memory(err);
		catalog->runs = runs;
		first = take_run(catalog, first, runs + catalog->run_count);
		catalog->run_count++;
	}
	return 0;
}

int pd_archive_catalog_load(struct pd_archive_catalog *catalog, struct pd_object_store *store,
			    const struct pd_archive_log *log, uint64_t base, struct pd_error *err)
{
	char prefix[PD_ARCHIVE_NAME_SIZE];
	int result;

	pd_archive_catalog_done(catalog);
	if (base == 0)
		pd_archive_prefix(log, prefix);
	else
		pd_archive_base_prefix(log, base, prefix);
	result = list(catalog, store, log, prefix, err);
	if (result == 0)
		result = keep_what_counts(catalog, err);
	if (result == 0)
		result = set_expired_aside(catalog, err);
	if (result == 0)
		result = find_runs(catalog, err);
	if (result != 0)
		pd_archive_catalog_done(catalog);
	return result;
}

/* ---- what there is at all ---- */

/* The first name behind `after`; "" in `name`: there is none. */
static int first_behind(struct pd_object_store *store, const char *prefix, const char *after,
			char name[PD_OBJECT_NAME_MAX + 1], struct pd_error *err)
{
	struct pd_object_page page;
	int result = pd_object_list(store, prefix, after, 1, &page, err);

	if (result != 0)
		return result;
	(void)snprintf(name, PD_OBJECT_NAME_MAX + 1, "%s", page.count > 0 ? page.entries[0].name : "");
	pd_object_page_done(&page);
	return 0;
}

int pd_archive_newest_base(struct pd_object_store *store, const struct pd_archive_log *log,
			   uint64_t *ret_base, struct pd_error *err)
{
	char prefix[PD_ARCHIVE_NAME_SIZE], after[PD_OBJECT_NAME_MAX + 1] = "", name[PD_OBJECT_NAME_MAX + 1];
	uint64_t newest = 0;

	pd_archive_prefix(log, prefix);
	(void)snprintf(prefix + strlen(prefix), sizeof prefix - strlen(prefix), "b");
	for (;;) {
		uint64_t base = 0;
		const char *at;
		int result = first_behind(store, prefix, after, name, err);

		if (result != 0)
			return result;
		if (name[0] == '\0')
			break;
		at = name + strlen(prefix);
		for (unsigned i = 0; i < 20 && *at >= '0' && *at <= '9'; i++, at++)
			base = base * 10 + (uint64_t)(*at - '0');
		if (*at == '/' && base > newest)
			newest = base;
		/* Behind all that begins so: '0' is what comes behind '/'. */
		(void)snprintf(after, sizeof after, "%.*s0", (int)strcspn(at, "/") + (int)(at - name), name);
	}
	*ret_base = newest;
	return 0;
}

/* "<32 digits>/<4 digits>/" */
static bool parse_log(const char *name, struct pd_archive_log *ret_log)
{
	char prefix[PD_ARCHIVE_NAME_SIZE];
	struct pd_archive_log log = { 0 };

	for (unsigned i = 0; i < 2 * PD_CLUSTER_ID_SIZE + 5; i++) {
		char c = name[i];
		uint32_t digit = c >= '0' && c <= '9' ? (uint32_t)(c - '0') : (uint32_t)(c - 'a') + 10;

		if (i == 2 * PD_CLUSTER_ID_SIZE && c == '/')
			continue;
		if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
			return false;
		if (i < 2 * PD_CLUSTER_ID_SIZE)
			log.cluster_id[i / 2] = (uint8_t)(log.cluster_id[i / 2] << 4 | digit);
		else
			log.shard = log.shard << 4 | digit;
	}
	pd_archive_prefix(&log, prefix);
	*ret_log = log;
	return strncmp(name, prefix, strlen(prefix)) == 0;
}

int pd_archive_logs(struct pd_object_store *store,
		    int (*take)(void *context, const struct pd_archive_log *log, struct pd_error *err),
		    void *context, struct pd_error *err)
{
	char after[PD_OBJECT_NAME_MAX + 1] = "", name[PD_OBJECT_NAME_MAX + 1];

	for (;;) {
		struct pd_archive_log log;
		size_t size;
		int result = first_behind(store, "", after, name, err);

		if (result != 0 || name[0] == '\0')
			return result;
		if (parse_log(name, &log)) {
			result = take(context, &log, err);
			if (result != 0)
				return result;
			size = 2 * PD_CLUSTER_ID_SIZE + 5;
		} else {
			size = strcspn(name, "/"); /* something else lies there: behind all of that */
		}
		(void)snprintf(after, sizeof after, "%.*s0", (int)size, name);
	}
}
