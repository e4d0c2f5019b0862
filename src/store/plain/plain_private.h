/* Levels as plain sorted files, whole in memory while they are open: simple and correct, for the simulated machine and
 * as what other backends are compared with.
 *
 *   MANIFEST           the files there are, newest first, and the position in the log that they are the state of
 *   MANIFEST.tmp       about to become that
 *   0000000007.level   a file of points or of ranges, never changed once it is written
 *
 * A batch makes a file of points for each part (a cut ends one), and below them a file of ranges; files of a batch have no key
 * in common, so that a range hides what is in files after its own and nothing else. Only the manifest makes a file
 * count: what it does not name is a leftover, removed by the next opening.
 *
 *   plain_file.c       a file: made, read, checked, searched
 *   plain_manifest.c   the manifest: written, read
 *   plain_version.c    which files an iterator, a value, a checkpoint still needs
 *   plain_iterator.c   files merged
 *   plain_view.c       the files of one moment, for as long as somebody reads them
 *   plain_batch.c      batches
 *   plain_upkeep.c     compaction, checkpoint, verify, resume
 *   plain.c            open and close, get, figures */
#ifndef PD_STORE_PLAIN_PLAIN_PRIVATE_H
#define PD_STORE_PLAIN_PLAIN_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/assert.h"
#include "base/buffer.h"
#include "os/os.h"
#include "store/levels.h"

enum pd_plain_kind {
	PD_PLAIN_POINTS = 1, /* puts and deletes */
	PD_PLAIN_RANGES = 2, /* deleted ranges: none touches another */
};

/* A file as the manifest has it, so that what is missing or damaged has a name and keys. */
struct pd_plain_description {
	uint64_t number;
	enum pd_plain_kind kind;
	uint32_t crc; /* of its index, which has those of all blocks */
	uint64_t size, entries;
	uint64_t deletes;            /* of the entries; all of them in a file of ranges */
	struct pd_slice first, last; /* keys concerned, both inclusive (ranges: the greatest end) */
};

struct pd_plain_entry {
	struct pd_slice key;
	struct pd_slice value; /* a range: its end, exclusive */
	bool is_delete;
};

/* A few entries under one checksum, what is damaged as a whole. */
struct pd_plain_block {
	const uint8_t *entries, *end; /* in the image */
	struct pd_slice first, last;  /* in the image's index */
	uint64_t offset;
	uint32_t count;
	bool damaged;
};

struct pd_plain_file {
	struct pd_plain *plain;
	struct pd_plain_file *next; /* in plain->doubtful */
	unsigned references;        /* versions, values, batches; under plain->state, as the next */
	bool leftover;              /* no manifest names it: its name goes with the last reference */
	struct pd_plain_description is;
	uint8_t *keys;  /* is.first and is.last */
	uint8_t *image; /* NULL: damaged as a whole */
	size_t image_size;
	struct pd_plain_block *blocks;
	size_t block_count, damaged_blocks;
	int damage_code; /* of the whole: PD_CORRUPT or PD_IO; 0: look at the blocks */
	char damage[200];
};

/* The files of one moment, newest first. Never changed. */
struct pd_plain_version {
	unsigned references; /* under plain->state */
	struct pd_log_position applied;
	size_t count;
	struct pd_plain_file *files[];
};

struct pd_plain {
	struct pd_levels base;
	struct pd_os *os;
	char *directory;
	unsigned trigger;
	atomic_bool cancelled;
	pthread_mutex_t work;  /* who replaces the manifest; taken before `state` */
	pthread_mutex_t state; /* what follows; never held while something is read or written */
	struct pd_plain_version *version;
	uint64_t next_number;
	uint64_t running_compactions;
	bool stopped; /* no compaction until resume */
	int doubt;    /* the error after which nobody knows which manifest will be there; 0: none */
	char failure[200];
	struct pd_plain_file *doubtful; /* what that manifest would name */
};

/* An entry at a time, in order, of a version that outlives it. */
struct pd_plain_merge {
	const struct pd_plain_version *version;
	struct pd_plain_cursor *cursors; /* one for each file of points, newest first */
	size_t count, capacity;
};

/* A file in the making. */
struct pd_plain_builder {
	enum pd_plain_kind kind;
	uint64_t number;
	struct pd_buffer image, index;
	uint64_t blocks, entries, deletes;
	size_t block_at; /* where the open block begins, 0: none is open */
	uint32_t block_entries;
	size_t first_at, first_size, last_at, last_size; /* its keys in the image */
};

static inline void pd_plain_lock(pthread_mutex_t *mutex)
{
	PD_ASSERT(pthread_mutex_lock(mutex) == 0);
}

static inline void pd_plain_unlock(pthread_mutex_t *mutex)
{
	PD_ASSERT(pthread_mutex_unlock(mutex) == 0);
}

/* ---- plain_file.c ---- */

/* "<directory>/0000000007.level"; NULL: no memory. */
char *pd_plain_path(const char *directory, uint64_t number);
/* The number in a file's name, 0: it is none of ours. */
uint64_t pd_plain_number(const char *name);
int pd_plain_no_memory(const char *directory, struct pd_error *err);

void pd_plain_builder_init(struct pd_plain_builder *builder, enum pd_plain_kind kind, uint64_t number);
void pd_plain_builder_done(struct pd_plain_builder *builder);
/* Keys ascend. PD_NO_MEMORY; then the builder is good for nothing but done. */
PD_MUST_CHECK int pd_plain_builder_add(struct pd_plain_builder *builder, const struct pd_plain_entry *entry);
/* The file that was made of at least one entry. It is in memory only. The builder is left to be done. */
PD_MUST_CHECK int pd_plain_builder_finish(struct pd_plain_builder *builder, struct pd_plain_file **ret_file);

/* Write its image to a new file, synced; its name is not. On an error nothing is left, as far as that is possible. */
PD_MUST_CHECK int pd_plain_file_write(const struct pd_plain_file *file, struct pd_os *os,
				      const char *directory, struct pd_error *err);
/* Read what the manifest describes and check all of it. Damage is no error: the file says what can be read.
 * PD_NO_MEMORY, PD_PERMISSION. */
PD_MUST_CHECK int pd_plain_file_read(const struct pd_plain_description *description, struct pd_os *os,
				     const char *directory, struct pd_plain_file **ret_file,
				     struct pd_error *err);
void pd_plain_file_free(struct pd_plain_file *file);
/* The name goes; when that fails the file is a leftover. */
void pd_plain_file_unlink(const struct pd_plain_file *file, struct pd_os *os, const char *directory);

static inline bool pd_plain_file_damaged(const struct pd_plain_file *file)
{
	return file->damage_code != 0 || file->damaged_blocks > 0;
}
/* 0: nothing that is damaged is about a key from `from` to `to`, both inclusive. Else PD_CORRUPT or PD_IO and its words. */
PD_MUST_CHECK int pd_plain_file_check(const struct pd_plain_file *file, const char *directory,
				      struct pd_slice from, struct pd_slice to, struct pd_error *err);
/* A file of points that is good there: the key's entry. */
bool pd_plain_file_find(const struct pd_plain_file *file, struct pd_slice key,
			struct pd_plain_entry *ret_entry);
/* A file of ranges that is good there: whether one of them has the key. */
bool pd_plain_file_covers(const struct pd_plain_file *file, struct pd_slice key);
/* The block that has the key if any has, block_count: before the first. */
size_t pd_plain_file_block(const struct pd_plain_file *file, struct pd_slice key);
/* Read the entry at `at`; where the next one is. NULL: there is none in these bytes. */
const uint8_t *pd_plain_entry_read(const uint8_t *at, const uint8_t *end, struct pd_plain_entry *ret_entry);

/* ---- plain.c ---- */

/* The newest file of the version that knows of the key. 1: it has it; 0: nobody has. */
PD_MUST_CHECK int pd_plain_find(const struct pd_plain_version *version, const char *directory,
				struct pd_slice key, struct pd_plain_entry *ret_entry,
				struct pd_plain_file **ret_file, struct pd_error *err);

/* ---- plain_manifest.c ---- */

struct pd_plain_manifest {
	struct pd_log_position applied;
	uint64_t next_number;
	uint8_t *image; /* the descriptions' keys point into it */
	struct pd_plain_description *files;
	size_t count;
};

/* Replace the manifest. Durable when: it returns 0. On an error, *ret_doubt: the new one may be there, now or after a
 * power cut; else the old one is. */
PD_MUST_CHECK int pd_plain_manifest_write(struct pd_os *os, const char *directory,
					  const struct pd_plain_version *version, uint64_t next_number,
					  bool *ret_doubt, struct pd_error *err);
/* PD_NOT_FOUND, PD_CORRUPT, PD_NEWER_FORMAT. */
PD_MUST_CHECK int pd_plain_manifest_read(struct pd_os *os, const char *directory,
					 struct pd_plain_manifest *ret_manifest, struct pd_error *err);
void pd_plain_manifest_done(struct pd_plain_manifest *manifest);
bool pd_plain_manifest_is_temporary(const char *name);

/* ---- plain_version.c ---- */

/* With `newer` in front of what `older` (NULL: nothing) has. Holds one reference to each file. NULL: no memory. */
struct pd_plain_version *pd_plain_version_new(struct pd_plain *plain, struct pd_plain_file *const *newer,
					      size_t newer_count, const struct pd_plain_version *older,
					      struct pd_log_position applied);
struct pd_plain_version *pd_plain_version_get(struct pd_plain *plain); /* the newest; holds a reference */
/* One more reference to one that is held. */
struct pd_plain_version *pd_plain_version_keep(struct pd_plain *plain, struct pd_plain_version *version);
void pd_plain_version_release(struct pd_plain *plain, struct pd_plain_version *version); /* NULL is fine */
/* A file that was made (a leftover until a manifest names it) or read, for these levels; the caller has the reference. */
void pd_plain_file_own(struct pd_plain *plain, struct pd_plain_file *file, bool leftover);
void pd_plain_file_release(struct pd_plain_file *file); /* NULL is fine */
/* Make it the newest; takes the reference. Files that only the one before had are leftovers. */
void pd_plain_version_install(struct pd_plain *plain, struct pd_plain_version *version);
uint64_t pd_plain_version_bytes(const struct pd_plain_version *version);
/* Write the manifest of a version and make it the newest. The caller holds `work`. On an error the version is released, and where the
 * outcome is unknown no other manifest is written until resume. */
PD_MUST_CHECK int pd_plain_version_commit(struct pd_plain *plain, struct pd_plain_version *version,
					  struct pd_error *err);
/* 0, or the error that left a doubt, in its words. */
PD_MUST_CHECK int pd_plain_check_doubt(struct pd_plain *plain, struct pd_error *err);
/* A manifest without the doubtful files is there for sure. */
void pd_plain_leave_doubt(struct pd_plain *plain);
uint64_t pd_plain_take_number(struct pd_plain *plain);

/* ---- plain_iterator.c ---- */

/* Before the first key from `from` on. Damage is not looked at. PD_NO_MEMORY. */
PD_MUST_CHECK int pd_plain_merge_seek(struct pd_plain_merge *merge, const struct pd_plain_version *version,
				      struct pd_slice from);
/* true and an entry that is there; false: none before `to` (size 0: at all). */
bool pd_plain_merge_next(struct pd_plain_merge *merge, struct pd_slice to, struct pd_plain_entry *ret_entry);
void pd_plain_merge_done(struct pd_plain_merge *merge);

int pd_plain_iterator_new(struct pd_levels *levels, struct pd_levels_iterator **ret_iterator,
			  struct pd_error *err);
int pd_plain_seek(struct pd_levels_iterator *iterator, struct pd_slice from, struct pd_slice to,
		  struct pd_error *err);
int pd_plain_next(struct pd_levels_iterator *iterator, struct pd_slice *ret_key, struct pd_slice *ret_value,
		  struct pd_error *err);
void pd_plain_iterator_free(struct pd_levels_iterator *iterator);
int pd_plain_view_iterator_new(struct pd_levels_view *view, struct pd_levels_iterator **ret_iterator,
			       struct pd_error *err);

/* ---- plain_view.c ---- */

struct pd_plain_view {
	struct pd_levels_view base;
	struct pd_plain_version *version;
};

int pd_plain_view_new(struct pd_levels *levels, struct pd_levels_view **ret_view, struct pd_error *err);
int pd_plain_view_get(struct pd_levels_view *view, struct pd_slice key, struct pd_levels_value *ret_value,
		      struct pd_error *err);
void pd_plain_view_free(struct pd_levels_view *view);

/* ---- plain_batch.c ---- */

int pd_plain_batch_new(struct pd_levels *levels, struct pd_levels_batch **ret_batch, struct pd_error *err);
int pd_plain_batch_put(struct pd_levels_batch *batch, struct pd_slice key, struct pd_slice value,
		       struct pd_error *err);
int pd_plain_batch_delete(struct pd_levels_batch *batch, struct pd_slice key, struct pd_error *err);
int pd_plain_batch_delete_range(struct pd_levels_batch *batch, struct pd_slice from, struct pd_slice to,
				struct pd_error *err);
int pd_plain_batch_finish(struct pd_levels_batch *batch, struct pd_error *err);
int pd_plain_batch_commit(struct pd_levels_batch *batch, struct pd_log_position applied,
			  struct pd_error *err);
void pd_plain_batch_free(struct pd_levels_batch *batch);

/* ---- plain_upkeep.c ---- */

/* Merge when there are more files than the trigger says. Errors stop later compactions, and are told by the figures. The
 * caller holds `work`. */
void pd_plain_compact_if_due(struct pd_plain *plain);
int pd_plain_compact(struct pd_levels *levels, struct pd_slice from, struct pd_slice to,
		     struct pd_error *err);
int pd_plain_checkpoint(struct pd_levels *levels, const char *path, struct pd_error *err);
int pd_plain_check_file(struct pd_levels *levels, const char *directory, const char *name,
			struct pd_error *err);
int pd_plain_files(struct pd_levels *levels, pd_levels_visit *visit, void *context, struct pd_error *err);
int pd_plain_pace(struct pd_levels *levels, uint64_t bytes, pd_levels_go_on *go_on, void *context,
		  struct pd_error *err);
int pd_plain_verify(struct pd_levels *levels, bool known, pd_levels_report *report,
		    pd_levels_progress *progress, void *context, struct pd_error *err);
int pd_plain_resume(struct pd_levels *levels, struct pd_error *err);

#endif
