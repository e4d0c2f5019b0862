#include "archive/expire.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "archive/catalog.h"
#include "base/buffer.h"
#include "base/plant.h"

#define HOLD_TEXT_MAX 4096
#define AT_ONCE       16u /* objects that go between two looks at holds */

/* ---- holds ---- */

static int hold_name(const struct pd_archive_log *log, const char *name, char object[PD_ARCHIVE_NAME_SIZE],
		     struct pd_error *err)
{
	static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
	size_t size = strlen(name);

	if (size == 0 || size > PD_ARCHIVE_HOLD_NAME_MAX || strspn(name, good) != size)
		return pd_error_set(err, PD_INVALID,
				    "a hold's name is 1 to %u letters, digits, - and _, not '%.80s'",
				    PD_ARCHIVE_HOLD_NAME_MAX, name);
	pd_archive_prefix(log, object);
	(void)snprintf(object + strlen(object), PD_ARCHIVE_NAME_SIZE - strlen(object), "holds/%s", name);
	return 0;
}

int pd_archive_hold(struct pd_object_store *store, const struct pd_archive_log *log, const char *name,
		    const char *why, uint64_t now_us, struct pd_error *err)
{
	char object[PD_ARCHIVE_NAME_SIZE], text[HOLD_TEXT_MAX];
	int result = hold_name(log, name, object, err);

	if (result != 0)
		return result;
	if (snprintf(text, sizeof text, "made-us %" PRIu64 "\nwhy %s\n", now_us, why) >= (int)sizeof text)
		return pd_error_set(err, PD_INVALID, "why there is a hold is said in less than %d bytes",
				    HOLD_TEXT_MAX - 64);
	result = pd_object_put_bytes(store, object, pd_slice_string(text), NULL, err);
	return result == PD_EXISTS ? pd_error_set(err, PD_EXISTS, "there is a hold '%s' already", name)
				   : result;
}

int pd_archive_release(struct pd_object_store *store, const struct pd_archive_log *log, const char *name,
		       struct pd_error *err)
{
	char object[PD_ARCHIVE_NAME_SIZE];
	uint64_t size;
	int result = hold_name(log, name, object, err);

	if (result == 0)
		result = pd_object_head(store, object, &size, err);
	if (result == PD_NOT_FOUND)
		return pd_error_set(err, result, "there is no hold '%s'", name);
	return result == 0 ? pd_object_delete(store, object, err) : result;
}

int pd_archive_holds(struct pd_object_store *store, const struct pd_archive_log *log,
		     int (*take)(void *context, const char *name, struct pd_slice text, struct pd_error *err),
		     void *context, struct pd_error *err)
{
	char prefix[PD_ARCHIVE_NAME_SIZE], after[PD_OBJECT_NAME_MAX + 1] = "";
	bool more = true;
	int result = 0;

	pd_archive_prefix(log, prefix);
	(void)snprintf(prefix + strlen(prefix), sizeof prefix - strlen(prefix), "holds/");
	while (result == 0 && more) {
		struct pd_object_page page;

		result = pd_object_list(store, prefix, after, PD_OBJECT_PAGE_MAX, &page, err);
		if (result != 0)
			return result;
		for (size_t i = 0; result == 0 && i < page.count; i++) {
			struct pd_buffer text;

			pd_buffer_init(&text, 64 * 1024);
			result = pd_object_get_bytes(store, page.entries[i].name, NULL, &text, err);
			if (result == 0)
				result = take(context, page.entries[i].name + strlen(prefix),
					      pd_buffer_slice(&text), err);
			else if (result == PD_NOT_FOUND)
				result = 0; /* released meanwhile */
			pd_buffer_done(&text);
		}
		more = page.more;
		if (page.count > 0)
			(void)snprintf(after, sizeof after, "%s", page.entries[page.count - 1].name);
		pd_object_page_done(&page);
	}
	return result;
}

static int see_hold(void *context, const char *name, struct pd_slice text, struct pd_error *err)
{
	struct pd_archive_expired *expired = context;

	(void)text;
	(void)err;
	if (!expired->held)
		(void)snprintf(expired->hold, sizeof expired->hold, "%s", name);
	expired->held = true;
	return 0;
}

/* ---- what goes ---- */

struct expiring {
	struct pd_object_store *store;
	const struct pd_archive_log *log;
	bool dry_run;
	struct pd_archive_expired *expired;
};

/* Where the segment begins whose items end before `end`. Does a record end in it? */
static size_t segment_begin(const struct pd_archive_item *items, size_t end, bool *ret_ends_record)
{
	uint32_t segment = items[end - 1].part.stretch.segment;

	*ret_ends_record = false;
	for (; end > 0 && items[end - 1].part.stretch.segment == segment; end--)
		*ret_ends_record = *ret_ends_record || items[end - 1].part.stretch.last_lsn >=
							       items[end - 1].part.stretch.first_lsn;
	return end;
}

/* Items of the run, from its first on, that are from before that time: whole segments only, and all that is a segment's. */
static size_t count_old(const struct pd_archive_catalog *catalog, const struct pd_archive_run *run,
			bool newest, uint64_t before_us)
{
	size_t old = 0, count = run->count;
	const struct pd_archive_item *items = catalog->items + run->first;

	/* Of the newest base the last segment stays: archiving goes on behind it. */
	while (newest && count > 0 &&
	       items[count - 1].part.stretch.segment == items[run->count - 1].part.stretch.segment)
		count--;
	while (old < count && items[old].part.stretch.last_time_us < before_us)
		old++;
	if (old == run->count)
		return old;
	while (old > 0 && items[old].part.stretch.segment == items[old - 1].part.stretch.segment)
		old--;
	/* One segment more stays: a large record may begin in it. And those that have nothing but the middle of one. */
	for (bool ends_record = false; old > 0 && !ends_record;)
		old = segment_begin(items, old, &ends_record);
	return old;
}

static int remove_item(struct expiring *expiring, const struct pd_archive_item *item, struct pd_error *err)
{
	char name[PD_ARCHIVE_NAME_SIZE];

	expiring->expired->objects++;
	expiring->expired->bytes += item->bytes;
	if (expiring->dry_run)
		return 0;
	pd_archive_part_name(expiring->log, &item->part, name);
	return pd_object_delete(expiring->store, name, err);
}

/* Say where the base begins from now on. It may have been said by one that came no further. What was said before (0: nothing) is of no use then. */
static int note_beginning(struct expiring *expiring, uint64_t base, uint64_t lsn, uint64_t before_lsn,
			  struct pd_error *err)
{
	char name[PD_ARCHIVE_NAME_SIZE];
	int result;

	if (expiring->dry_run)
		return 0;
	pd_archive_keep_name(expiring->log, base, lsn, name);
	result = pd_object_put_bytes(expiring->store, name, pd_slice_string("kept from there on\n"), NULL,
				     err);
	if ((result != 0 && result != PD_EXISTS) || before_lsn == 0 || before_lsn >= lsn)
		return result == PD_EXISTS ? 0 : result;
	pd_archive_keep_name(expiring->log, base, before_lsn, name);
	result = pd_object_delete(expiring->store, name, err);
	return result == PD_PERMISSION ? 0 : result;
}

/* Where the base begins by now, as was said; 0: nothing was. */
static uint64_t noted_lsn(const struct pd_archive_catalog *catalog, uint64_t base)
{
	for (size_t i = 0; i < catalog->keep_count; i++)
		if (catalog->keeps[i].base == base)
			return catalog->keeps[i].lsn;
	return 0;
}

/* Behind some objects, and behind all that is of the same segment. */
static size_t batch_end(const struct pd_archive_item *items, size_t begin, size_t old)
{
	size_t end = old - begin > AT_ONCE ? begin + AT_ONCE : old;

	while (end < old && items[end].part.stretch.segment == items[end - 1].part.stretch.segment)
		end++;
	return end;
}

/* The first `old` objects of the run, a few at a time, for as long as nobody says that he holds the archive. *ret_gone: so many went. */
static int let_go(struct expiring *expiring, const struct pd_archive_catalog *catalog,
		  const struct pd_archive_run *run, size_t old, size_t *ret_gone, struct pd_error *err)
{
	const struct pd_archive_item *items = catalog->items + run->first;
	uint64_t noted = noted_lsn(catalog, run->base);
	bool late = pd_plant(PD_PLANT_ARCHIVE_EXPIRES_FIRST);
	int result = 0;

	while (result == 0 && *ret_gone < old) {
		size_t end = batch_end(items, *ret_gone, old);
		uint64_t lsn = items[end - 1].part.stretch.last_lsn + 1;

		result = pd_archive_holds(expiring->store, expiring->log, see_hold, expiring->expired, err);
		if (result != 0 || expiring->expired->held)
			return result;
		if (!late)
			result = note_beginning(expiring, run->base, lsn, noted, err);
		for (; result == 0 && *ret_gone < end; ++*ret_gone)
			result = remove_item(expiring, items + *ret_gone, err);
		if (result == 0 && late)
			result = note_beginning(expiring, run->base, lsn, noted, err);
		noted = lsn;
	}
	return result;
}

/* What else there is of a base that is gone. */
static int remove_base(struct expiring *expiring, uint64_t base, struct pd_error *err)
{
	char prefix[PD_ARCHIVE_NAME_SIZE];
	struct pd_object_page page;
	int result;

	if (expiring->dry_run)
		return 0;
	pd_archive_base_prefix(expiring->log, base, prefix);
	do {
		result = pd_object_list(expiring->store, prefix, NULL, PD_OBJECT_PAGE_MAX, &page, err);
		if (result != 0)
			return result;
		for (size_t i = 0; result == 0 && i < page.count; i++)
			result = pd_object_delete(expiring->store, page.entries[i].name, err);
		if (page.count == 0)
			page.more = false;
		pd_object_page_done(&page);
	} while (result == 0 && page.more);
	return result;
}

static int expire_run(struct expiring *expiring, const struct pd_archive_catalog *catalog,
		      const struct pd_archive_run *run, bool newest, uint64_t before_us, struct pd_error *err)
{
	size_t old = count_old(catalog, run, newest, before_us), gone = 0;
	int result = let_go(expiring, catalog, run, old, &gone, err);

	if (result == 0 && gone == run->count && !newest && !run->broken)
		return remove_base(expiring, run->base, err);
	if (result == 0 && expiring->expired->first_lsn == 0)
		expiring->expired->first_lsn =
			gone < run->count ? catalog->items[run->first + gone].part.stretch.first_lsn
					  : run->last_lsn + 1;
	return result;
}

/* Of one that was killed what it had noted and removed is seen: so it stays, before anything else goes by it. */
static int settle(const struct expiring *expiring, struct pd_error *err)
{
	char prefix[PD_ARCHIVE_NAME_SIZE];

	if (expiring->dry_run)
		return 0;
	pd_archive_prefix(expiring->log, prefix);
	return pd_object_settle(expiring->store, prefix, err);
}

int pd_archive_expire(struct pd_object_store *store, const struct pd_archive_log *log, uint64_t before_us,
		      bool dry_run, struct pd_archive_expired *ret_expired, struct pd_error *err)
{
	struct pd_archive_expired expired = { 0 };
	struct expiring expiring = { .store = store, .log = log, .dry_run = dry_run, .expired = &expired };
	struct pd_archive_catalog catalog;
	int result = pd_archive_holds(store, log, see_hold, &expired, err);

	if (result != 0 || expired.held) {
		*ret_expired = expired;
		return result;
	}
	pd_archive_catalog_init(&catalog);
	result = settle(&expiring, err);
	if (result == 0)
		result = pd_archive_catalog_load(&catalog, store, log, 0, err);
	for (size_t i = 0; result == 0 && i < catalog.run_count; i++)
		if (catalog.runs[i].broken)
			result = pd_error_set(err, PD_CORRUPT,
					      "objects from LSN %" PRIu64 " to before LSN %" PRIu64
					      " are missing (base %" PRIu64
					      "): nothing is let go before that is looked at",
					      catalog.runs[i].missing_lsn, catalog.runs[i].missing_end_lsn,
					      catalog.runs[i].base);
	/* What an earlier one had noted and not removed. */
	for (size_t i = 0; result == 0 && i < catalog.expired_count; i++)
		result = remove_item(&expiring, catalog.expired + i, err);
	for (size_t i = 0; result == 0 && !expired.held && i < catalog.run_count; i++)
		result = expire_run(&expiring, &catalog, &catalog.runs[i], i + 1 == catalog.run_count,
				    before_us, err);
	pd_archive_catalog_done(&catalog);
	if (result == 0)
		*ret_expired = expired;
	return result;
}
