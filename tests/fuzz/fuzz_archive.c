/* An archive in which anything may lie: names, of which the catalog makes runs; and one object with any content, whose checksums were made right
 * so that what they guard is reached; or names that a restore goes on with. The first byte chooses. */
#include <stdio.h>

#include "archive/catalog.h"
#include "archive/object.h"
#include "backup/go_on.h"
#include "base/codec.h"
#include "base/crc32c.h"
#include "base/memory.h"
#include "input.h"
#include "provider/object_name.h"
#include "provider/object_store.h"

#define NAMES_MAX 64u

/* Names, and one content for all of them. */
struct store {
	struct pd_object_store base;
	char names[NAMES_MAX][PD_ARCHIVE_NAME_SIZE];
	size_t count;
	struct pd_slice content;
};

static void store_free(struct pd_object_store *base)
{
	pd_free(base->address);
}

static int store_put(struct pd_object_store *base, const char *name, const struct pd_object_source *source,
		     const struct pd_object_put_options *options, struct pd_error *err)
{
	(void)base, (void)name, (void)source, (void)options;
	return pd_error_set(err, PD_READ_ONLY, "nothing is put here");
}

static int store_get(struct pd_object_store *base, const char *name, uint64_t offset, uint64_t size,
		     const struct pd_object_sink *sink, struct pd_error *err)
{
	const struct store *store = (const struct store *)base;
	size_t step = 1 + store->content.size / 7;

	(void)name, (void)size;
	for (size_t at = (size_t)offset; at < store->content.size; at += step) {
		size_t left = store->content.size - at;
		int result = sink->write(sink->context, store->content.data + at, left < step ? left : step,
					 err);

		if (result != 0)
			return result;
	}
	return 0;
}

static int store_head(struct pd_object_store *base, const char *name, uint64_t *ret_size,
		      struct pd_error *err)
{
	(void)base, (void)name, (void)err;
	*ret_size = 1;
	return 0;
}

static int store_list(struct pd_object_store *base, const char *prefix, const char *after, size_t limit,
		      struct pd_object_page *page, struct pd_error *err)
{
	const struct store *store = (const struct store *)base;

	(void)limit, (void)err;
	for (size_t i = 0; i < store->count; i++) {
		const char *name = store->names[i];
		struct pd_object_entry *entries;

		if (strcmp(name, after) <= 0 || strncmp(name, prefix, strlen(prefix)) != 0 ||
		    pd_object_name_check(name, NULL) != 0)
			continue;
		entries = pd_grow(page->entries, page->count, &page->capacity, sizeof *entries, 16);
		PD_ASSERT(entries != NULL);
		page->entries = entries;
		entries[page->count++] = (struct pd_object_entry){ .name = pd_strdup(name), .size = 300 };
	}
	return 0;
}

static int store_delete(struct pd_object_store *base, const char *name, struct pd_error *err)
{
	(void)base, (void)name, (void)err;
	return 0;
}

static int store_sweep(struct pd_object_store *base, uint64_t older_than_s, uint64_t *ret_count,
		       struct pd_error *err)
{
	(void)base, (void)older_than_s, (void)err;
	*ret_count = 0;
	return 0;
}

static const struct pd_object_store_ops ops = { .abi = PD_OBJECT_STORE_ABI,
						.kind = "fuzz",
						.free = store_free,
						.put = store_put,
						.get = store_get,
						.head = store_head,
						.list = store_list,
						.delete = store_delete,
						.sweep = store_sweep };

static const struct pd_archive_log whose = { .cluster_id = { 1 } };

/* Small numbers, so that they meet. */
static struct pd_archive_part take_part(struct input *input)
{
	static const enum pd_archive_kind kinds[] = { PD_ARCHIVE_WHOLE, PD_ARCHIVE_PIECE, PD_ARCHIVE_WHOLE,
						      PD_ARCHIVE_LAST };
	struct pd_archive_part part = { .base = 1 + take_byte(input) % 4,
					.kind = kinds[take_byte(input) % 4] };

	part.stretch.segment = take_byte(input) % 8;
	part.stretch.from = part.kind == PD_ARCHIVE_WHOLE ? 0 : take_byte(input) % 4 * UINT64_C(512);
	part.stretch.end = part.stretch.from + (1 + take_byte(input) % 4) * UINT64_C(512);
	part.stretch.epoch = take_byte(input) % 3;
	part.stretch.first_lsn = 1 + take_byte(input) % 16;
	part.stretch.last_lsn = part.stretch.first_lsn + take_byte(input) % 6 - 1;
	part.stretch.sealed = pd_archive_kind_seals(part.kind);
	return part;
}

/* Runs are what they promise. */
static void check_catalog(const struct pd_archive_catalog *catalog)
{
	size_t items = 0;

	for (size_t r = 0; r < catalog->run_count; r++) {
		const struct pd_archive_run *run = &catalog->runs[r];
		uint64_t next_lsn = run->first_lsn;

		PD_ASSERT(run->first_lsn >= run->base && (r == 0 || run->base > catalog->runs[r - 1].base));
		PD_ASSERT(run->first >= items && run->first + run->count <= catalog->count);
		for (size_t i = run->first; i < run->first + run->count; i++) {
			const struct pd_archive_part *part = &catalog->items[i].part;

			PD_ASSERT(part->base == run->base && part->stretch.first_lsn == next_lsn);
			PD_ASSERT(i > run->first || part->stretch.from == 0);
			next_lsn = part->stretch.last_lsn + 1;
		}
		PD_ASSERT(run->last_lsn + 1 == next_lsn);
		PD_ASSERT(!run->broken || run->missing_lsn == next_lsn);
		items = run->first + run->count;
	}
}

static void take_names(struct store *store, struct input *input)
{
	while (input->size > 0 && store->count < NAMES_MAX) {
		char *name = store->names[store->count++];
		uint8_t kind = take_byte(input) % 8;

		if (kind == 0) {
			struct pd_slice piece = take_piece(input);

			pd_archive_prefix(&whose, name);
			(void)snprintf(name + strlen(name), PD_ARCHIVE_NAME_SIZE - strlen(name), "%.*s",
				       (int)(piece.size < 200 ? piece.size : 200), (const char *)piece.data);
		} else if (kind == 1) {
			uint64_t base = 1 + take_byte(input) % 4;

			pd_archive_keep_name(&whose, base, 1 + take_byte(input) % 16, name);
		} else {
			struct pd_archive_part part = take_part(input);

			pd_archive_part_name(&whose, &part, name);
		}
	}
}

static void list_names(struct store *store, struct input *input)
{
	struct pd_archive_catalog catalog;

	take_names(store, input);
	pd_archive_catalog_init(&catalog);
	if (pd_archive_catalog_load(&catalog, &store->base, &whose, 0, NULL) == 0)
		check_catalog(&catalog);
	pd_archive_catalog_done(&catalog);
}

/* What a restore would take comes in the order of the log, without a hole. */
static void check_stretch(void *context, const struct pd_gone_on *gone)
{
	uint64_t *last_lsn = context;

	PD_ASSERT(gone->first_lsn == *last_lsn + 1 && gone->last_lsn >= gone->first_lsn);
	*last_lsn = gone->last_lsn;
}

/* The store is taken. */
static void plan_restore(struct store *store, struct input *input)
{
	struct pd_log_tail from = { .last_lsn = take_byte(input) % 16, .epoch = take_byte(input) % 3 }, end;
	uint64_t lsn = take_byte(input) % 20, last_lsn = from.last_lsn, bytes;
	struct pd_further *further = NULL;
	struct pd_go_on order = { .sources = &further,
				  .source_count = 1,
				  .wish.lsn = lsn,
				  .told = check_stretch,
				  .context = &last_lsn };
	struct pd_error err = { 0 };

	take_names(store, input);
	if (pd_further_archive_in(NULL, &store->base, whose.cluster_id, whose.shard, &further, &err) != 0)
		return;
	if (pd_go_on_plan(&order, &from, &bytes, &end, &err) == 0)
		PD_ASSERT(end.last_lsn >= lsn || end.last_lsn >= further->newest_lsn);
	else
		PD_ASSERT(err.code != 0 && err.text[0] != '\0');
	PD_ASSERT(end.last_lsn == last_lsn && last_lsn >= from.last_lsn);
	pd_further_free(further);
}

static int count(void *context, const void *data, size_t size, struct pd_error *err)
{
	(void)data, (void)err;
	*(uint64_t *)context += size;
	return 0;
}

/* A header as the name has it, then anything, then a checksum that is right. */
static void read_object(struct store *store, struct input *input)
{
	struct pd_archive_part part = take_part(input), found;
	uint64_t bytes = 0;
	struct pd_object_sink sink = { count, &bytes };
	size_t size;
	uint8_t *content;
	int result;

	if (part.stretch.last_lsn + 1 < part.stretch.first_lsn)
		return;
	part.stretch.hash.low = take_number(input, 2);
	size = PD_ARCHIVE_HEADER_SIZE + input->size + 4;
	content = malloc(size);
	PD_ASSERT(content != NULL);
	pd_archive_header_write(&whose, &part, content);
	if (input->size > 0)
		memcpy(content + PD_ARCHIVE_HEADER_SIZE, input->data, input->size);
	pd_store_u32(content + size - 4, pd_crc32c(0, content, size - 4));
	store->content = pd_slice(content, size);
	result = pd_archive_object_get(&store->base, &whose, &part, &sink, &found, NULL);
	PD_ASSERT(bytes <= part.stretch.end - part.stretch.from);
	PD_ASSERT(result == PD_CORRUPT || result == PD_NO_MEMORY ||
		  (result == 0 && bytes == part.stretch.end - part.stretch.from));
	free(content);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = { data, size };
	struct store *store = calloc(1, sizeof *store);
	uint8_t choice = take_byte(&input);

	PD_ASSERT(store != NULL);
	store->base = (struct pd_object_store){ .ops = &ops, .address = pd_strdup("fuzz") };
	if (choice % 4 == 2) {
		plan_restore(store, &input);
	} else {
		if (choice % 2 == 0)
			list_names(store, &input);
		else
			read_object(store, &input);
		pd_object_store_free(&store->base);
	}
	free(store);
	return 0;
}
