/* Files merged into one order: the newest entry of a key counts, unless a range newer than it hides it. */
#include <string.h>

#include "base/memory.h"
#include "store/plain/plain_private.h"

struct pd_plain_cursor {
	const struct pd_plain_file *file;
	size_t rank; /* of the file among all of the version */
	size_t block;
	const uint8_t *next; /* what comes after `entry` in the block */
	struct pd_plain_entry entry;
	bool ended;
};

struct plain_iterator {
	struct pd_levels_iterator base;
	struct pd_plain_version *version; /* NULL: nowhere */
	const struct pd_plain_view *view; /* of which it is; NULL: of the newest state */
	struct pd_plain_merge merge;
	uint8_t *to;
	size_t to_size, to_capacity;
};

static struct pd_plain *plain_of(struct pd_levels_iterator *iterator)
{
	return (struct pd_plain *)iterator->levels;
}

/* To the front of its block. A damaged one ends it: whoever seeks has made sure that none lies before the bound. */
static void enter_block(struct pd_plain_cursor *cursor)
{
	const struct pd_plain_file *file = cursor->file;

	cursor->ended = cursor->block >= file->block_count || file->blocks[cursor->block].damaged;
	if (!cursor->ended)
		cursor->next = file->blocks[cursor->block].entries;
}

static void cursor_advance(struct pd_plain_cursor *cursor)
{
	const struct pd_plain_file *file = cursor->file;

	if (cursor->next == file->blocks[cursor->block].end) {
		cursor->block++;
		enter_block(cursor);
	}
	if (!cursor->ended)
		cursor->next = pd_plain_entry_read(cursor->next, file->blocks[cursor->block].end,
						   &cursor->entry);
}

static void cursor_seek(struct pd_plain_cursor *cursor, struct pd_slice from)
{
	const struct pd_plain_file *file = cursor->file;

	cursor->block = pd_plain_file_block(file, from);
	if (cursor->block == file->block_count)
		cursor->block = 0;
	else if (pd_slice_compare(file->blocks[cursor->block].last, from) < 0)
		cursor->block++;
	enter_block(cursor);
	while (!cursor->ended) {
		cursor_advance(cursor);
		if (!cursor->ended && pd_slice_compare(cursor->entry.key, from) >= 0)
			break;
	}
}

int pd_plain_merge_seek(struct pd_plain_merge *merge, const struct pd_plain_version *version,
			struct pd_slice from)
{
	if (merge->capacity < version->count) {
		struct pd_plain_cursor *grown = pd_realloc(merge->cursors, version->count * sizeof *grown);

		if (grown == NULL)
			return PD_NO_MEMORY;
		merge->cursors = grown;
		merge->capacity = version->count;
	}
	merge->version = version;
	merge->count = 0;
	for (size_t i = 0; i < version->count; i++) {
		if (version->files[i]->is.kind != PD_PLAIN_POINTS)
			continue;
		merge->cursors[merge->count] = (struct pd_plain_cursor){ .file = version->files[i],
									 .rank = i };
		cursor_seek(&merge->cursors[merge->count++], from);
	}
	return 0;
}

/* Whether a range hides what is in the file of that rank. */
static bool is_hidden(const struct pd_plain_version *version, size_t rank, struct pd_slice key)
{
	for (size_t i = 0; i < rank; i++)
		if (version->files[i]->is.kind == PD_PLAIN_RANGES &&
		    pd_plain_file_covers(version->files[i], key))
			return true;
	return false;
}

/* The newest of the cursors at the smallest key, NULL: all have ended. */
static const struct pd_plain_cursor *smallest(const struct pd_plain_merge *merge)
{
	const struct pd_plain_cursor *least = NULL;

	for (size_t i = 0; i < merge->count; i++) {
		const struct pd_plain_cursor *cursor = &merge->cursors[i];

		if (!cursor->ended &&
		    (least == NULL || pd_slice_compare(cursor->entry.key, least->entry.key) < 0))
			least = cursor;
	}
	return least;
}

bool pd_plain_merge_next(struct pd_plain_merge *merge, struct pd_slice to, struct pd_plain_entry *ret_entry)
{
	for (;;) {
		const struct pd_plain_cursor *least = smallest(merge);
		struct pd_plain_entry entry;
		size_t rank;

		if (least == NULL || (to.size > 0 && pd_slice_compare(least->entry.key, to) >= 0))
			return false;
		entry = least->entry;
		rank = least->rank;
		for (size_t i = 0; i < merge->count; i++)
			if (!merge->cursors[i].ended &&
			    pd_slice_equal(merge->cursors[i].entry.key, entry.key))
				cursor_advance(&merge->cursors[i]);
		if (entry.is_delete || is_hidden(merge->version, rank, entry.key))
			continue;
		*ret_entry = entry;
		return true;
	}
}

void pd_plain_merge_done(struct pd_plain_merge *merge)
{
	pd_free(merge->cursors);
	*merge = (struct pd_plain_merge){ 0 };
}

/* ---- the contract's iterator ---- */

int pd_plain_iterator_new(struct pd_levels *levels, struct pd_levels_iterator **ret_iterator,
			  struct pd_error *err)
{
	struct plain_iterator *iterator = pd_calloc(1, sizeof *iterator);

	if (iterator == NULL)
		return pd_plain_no_memory(((struct pd_plain *)levels)->directory, err);
	*ret_iterator = &iterator->base;
	return 0;
}

int pd_plain_view_iterator_new(struct pd_levels_view *base, struct pd_levels_iterator **ret_iterator,
			       struct pd_error *err)
{
	const struct pd_plain_view *view = (const struct pd_plain_view *)base;
	int rc = pd_plain_iterator_new(base->levels, ret_iterator, err);

	if (rc == 0)
		((struct plain_iterator *)*ret_iterator)->view = view;
	return rc;
}

static void go_nowhere(struct plain_iterator *iterator)
{
	pd_plain_version_release(plain_of(&iterator->base), iterator->version);
	iterator->version = NULL;
	iterator->merge.count = 0;
}

static int keep_bound(struct plain_iterator *iterator, struct pd_slice to)
{
	if (iterator->to_capacity < to.size) {
		uint8_t *grown = pd_realloc(iterator->to, to.size);

		if (grown == NULL)
			return PD_NO_MEMORY;
		iterator->to = grown;
		iterator->to_capacity = to.size;
	}
	memcpy(iterator->to, to.data, to.size);
	iterator->to_size = to.size;
	return 0;
}

/* Damage anywhere in [from, to) fails the whole scan: half of one would pass for all of it. */
int pd_plain_seek(struct pd_levels_iterator *base, struct pd_slice from, struct pd_slice to,
		  struct pd_error *err)
{
	struct plain_iterator *iterator = (struct plain_iterator *)base;
	struct pd_plain *plain = plain_of(base);
	int rc = 0;

	go_nowhere(iterator);
	if (pd_slice_compare(from, to) >= 0)
		return 0;
	if (keep_bound(iterator, to) != 0)
		return pd_plain_no_memory(plain->directory, err);
	iterator->version = iterator->view != NULL ? pd_plain_version_keep(plain, iterator->view->version)
						   : pd_plain_version_get(plain);
	for (size_t i = 0; i < iterator->version->count && rc == 0; i++)
		rc = pd_plain_file_check(iterator->version->files[i], plain->directory, from, to, err);
	if (rc == 0 && pd_plain_merge_seek(&iterator->merge, iterator->version, from) != 0)
		rc = pd_plain_no_memory(plain->directory, err);
	if (rc != 0)
		go_nowhere(iterator);
	return rc;
}

int pd_plain_next(struct pd_levels_iterator *base, struct pd_slice *ret_key, struct pd_slice *ret_value,
		  struct pd_error *err)
{
	struct plain_iterator *iterator = (struct plain_iterator *)base;
	struct pd_plain_entry entry;

	(void)err;
	if (iterator->version == NULL ||
	    !pd_plain_merge_next(&iterator->merge, pd_slice(iterator->to, iterator->to_size), &entry))
		return 0;
	*ret_key = entry.key;
	*ret_value = entry.value;
	return 1;
}

void pd_plain_iterator_free(struct pd_levels_iterator *base)
{
	struct plain_iterator *iterator = (struct plain_iterator *)base;

	go_nowhere(iterator);
	pd_plain_merge_done(&iterator->merge);
	pd_free(iterator->to);
	pd_free(iterator);
}
