/* RocksDB as C sees it: what these levels need, and no more. Its own C API tells errors as texts only, and lacks
 * resuming, checking a file, and files with their bounds; a status that is parsed out of a text is none.
 *
 * Every function that takes `err` returns 0 or a negative pd_code; texts name the file that RocksDB named.
 * Threads: as levels.h has it for what each is used for. Only shim*.cc include RocksDB. */
#ifndef PD_STORE_ROCKS_SHIM_H
#define PD_STORE_ROCKS_SHIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

struct pd_rocks;          /* an open database */
struct pd_rocks_pin;      /* what keeps a value in memory */
struct pd_rocks_iterator; /* one scan */
struct pd_rocks_view;     /* the state of one moment */
struct pd_rocks_writer;   /* one sorted file that is being written */

struct pd_rocks_options {
	const char *directory;
	size_t cache_bytes;
	uint64_t compaction_bytes_per_s;
	unsigned compaction_trigger; /* 0: the default */
	bool read_only;              /* nothing is written, and nothing is at work in the background */
};

/* Make it if there is none. PD_CORRUPT: it is there and cannot be opened. */
PD_MUST_CHECK int pd_rocks_open(const struct pd_rocks_options *options, struct pd_rocks **ret_rocks,
				struct pd_error *err);
/* Stops background work, then frees. */
int pd_rocks_close(struct pd_rocks *rocks, struct pd_error *err);
/* Compactions that a call is waiting for end soon, and all later ones at once, with PD_CANCELLED. Any thread. */
void pd_rocks_cancel(struct pd_rocks *rocks);

/* ---- families ---- */
/* Entries and what follows from them are compacted apart: a batch changes counters of thousands of actors in one small file
 * of the whole width, and were it in level 0 beside the batch's entries it would count as much as they do there. */
enum pd_rocks_family {
	PD_ROCKS_DATA,
	PD_ROCKS_DERIVED, /* keys of actors from PD_LEVELS_DERIVED on */
	PD_ROCKS_APPLIED, /* holds the position */
	PD_ROCKS_FAMILIES,
};
/* Of a key, or of the first key of a range. */
enum pd_rocks_family pd_rocks_family_of(const void *key, size_t size);

/* ---- reading ---- */
/* Whatever is taken over or compacted later does not change what it shows. PD_AGAIN: files are being taken over right now. */
PD_MUST_CHECK int pd_rocks_view_new(struct pd_rocks *rocks, struct pd_rocks_view **ret_view,
				    struct pd_error *err);
void pd_rocks_view_free(struct pd_rocks_view *view); /* none of its pins and iterators is left */

/* 1: found, at *ret_data until pd_rocks_pin_free(); 0: not there. One thread for these two, for each view and for the newest
 * state (`view` NULL). */
PD_MUST_CHECK int pd_rocks_get(struct pd_rocks *rocks, struct pd_rocks_view *view, const void *key,
			       size_t key_size, const void **ret_data, size_t *ret_size,
			       struct pd_rocks_pin **ret_pin, struct pd_error *err);
void pd_rocks_pin_free(struct pd_rocks_pin *pin);
/* The value under which the position is kept. 1: found, 0: none yet; more than `capacity` bytes are PD_CORRUPT. */
PD_MUST_CHECK int pd_rocks_get_applied(struct pd_rocks *rocks, void *data, size_t capacity, size_t *ret_size,
				       struct pd_error *err);

/* Stands before the first key in [from, to), all of one family, of a view or (NULL) of the newest state. `same_prefix`: all keys
 * there begin with the same 8 bytes, so that filters may be asked. `much`: most of it is read, and not soon again. */
PD_MUST_CHECK int pd_rocks_iterator_new(struct pd_rocks *rocks, const struct pd_rocks_view *view,
					const void *from, size_t from_size, const void *to, size_t to_size,
					bool same_prefix, bool much, struct pd_rocks_iterator **ret_iterator,
					struct pd_error *err);
/* 1 and an entry, valid until the next call; 0: the end. */
PD_MUST_CHECK int pd_rocks_iterator_next(struct pd_rocks_iterator *iterator, const void **ret_key,
					 size_t *ret_key_size, const void **ret_value, size_t *ret_value_size,
					 struct pd_error *err);
void pd_rocks_iterator_free(struct pd_rocks_iterator *iterator); /* NULL is fine */

/* ---- sorted files ---- */
PD_MUST_CHECK int pd_rocks_writer_new(struct pd_rocks *rocks, const char *path, enum pd_rocks_family family,
				      struct pd_rocks_writer **ret_writer, struct pd_error *err);
/* Keys strictly ascend, with deletes in between; ranges come in any order. */
PD_MUST_CHECK int pd_rocks_writer_put(struct pd_rocks_writer *writer, const void *key, size_t key_size,
				      const void *value, size_t value_size, struct pd_error *err);
PD_MUST_CHECK int pd_rocks_writer_delete(struct pd_rocks_writer *writer, const void *key, size_t key_size,
					 struct pd_error *err);
PD_MUST_CHECK int pd_rocks_writer_delete_range(struct pd_rocks_writer *writer, const void *from,
					       size_t from_size, const void *to, size_t to_size,
					       struct pd_error *err);
uint64_t pd_rocks_writer_bytes(const struct pd_rocks_writer *writer); /* written so far */
/* Write what is left and sync. At least one entry is in it. The name is not synced. */
PD_MUST_CHECK int pd_rocks_writer_finish(struct pd_rocks_writer *writer, struct pd_error *err);
void pd_rocks_writer_free(struct pd_rocks_writer *writer); /* NULL is fine; the file stays */
PD_MUST_CHECK int pd_rocks_put_applied(struct pd_rocks_writer *writer, const void *data, size_t size,
				       struct pd_error *err);
/* May some file hold ranges? True after opening. Say so before files with ranges are taken over; later ask, and it may
 * have become false again. From the writing thread. */
void pd_rocks_set_ranges(struct pd_rocks *rocks, bool ranges);
bool pd_rocks_ranges(struct pd_rocks *rocks);
struct pd_rocks_paths {
	const char *const *paths;
	size_t count;
};
/* Take over the files of all families in one step; where those of one overlap, later ones are newer. The names given are
 * gone after it. Durable when: it returns 0. */
PD_MUST_CHECK int pd_rocks_ingest(struct pd_rocks *rocks,
				  const struct pd_rocks_paths files[PD_ROCKS_FAMILIES], struct pd_error *err);

/* ---- upkeep ---- */
PD_MUST_CHECK int pd_rocks_checkpoint(struct pd_rocks *rocks, const char *path, struct pd_error *err);
/* All of one family. Sizes 0: everything. */
PD_MUST_CHECK int pd_rocks_compact(struct pd_rocks *rocks, const void *from, size_t from_size, const void *to,
				   size_t to_size, struct pd_error *err);
/* Background work is to begin there, though there may not be enough to do yet. A hint. */
void pd_rocks_compact_soon(struct pd_rocks *rocks, const void *from, size_t from_size, const void *to,
			   size_t to_size);
/* After an error in the background: do not let it try the same again and again. */
void pd_rocks_stop_failing(struct pd_rocks *rocks);
/* Let background work go on after an error; if need be by opening the database anew, for which nothing else may be under
 * way: PD_AGAIN, at once. What was read of it before has to be read again. */
PD_MUST_CHECK int pd_rocks_resume(struct pd_rocks *rocks, struct pd_error *err);

/* A live file. Pointers are good until pd_rocks_files_free(). */
struct pd_rocks_file {
	const char *path;
	uint64_t bytes; /* that it must have */
	const void *smallest, *largest;
	size_t smallest_size, largest_size;
	int level;
};
struct pd_rocks_files;
PD_MUST_CHECK int pd_rocks_files_new(struct pd_rocks *rocks, struct pd_rocks_files **ret_files,
				     size_t *ret_count, struct pd_error *err);
void pd_rocks_files_get(const struct pd_rocks_files *files, size_t index, struct pd_rocks_file *ret_file);
void pd_rocks_files_free(struct pd_rocks_files *files); /* NULL is fine */
/* Read all of it past the cache, with `direct` past the page cache too, and check every checksum. PD_CORRUPT also when it is
 * missing. */
PD_MUST_CHECK int pd_rocks_file_verify(struct pd_rocks *rocks, const char *path, bool direct,
				       struct pd_error *err);

/* Wait until the limit of background I/O allows some of so many bytes, a tenth of a second's at most. Returns how many. */
uint64_t pd_rocks_pace(struct pd_rocks *rocks, uint64_t bytes);

void pd_rocks_set_cache_bytes(struct pd_rocks *rocks, size_t bytes);
/* 0: no limit. Also for what is going on. */
void pd_rocks_set_compaction_rate(struct pd_rocks *rocks, uint64_t bytes_per_s);

struct pd_rocks_stats {
	uint64_t files, bytes, level0_files, pending_compaction_bytes, running_compactions;
	uint64_t cache_bytes, memory_bytes, entries;
	bool failed;
	char failure[200];
};
void pd_rocks_stats_get(struct pd_rocks *rocks, struct pd_rocks_stats *ret_stats);

#ifdef __cplusplus
}
#endif

#endif
