/* Levels: the sorted bulk of a shard's state on disk, below the memtables. One contract, two backends: `rocksdb`, and
 * `plain`, which keeps sorted files through src/os and so runs on the simulated machine.
 *
 * Data comes in batches only: sorted bulk that becomes visible and durable in one step together with the position in
 * the log up to which it is the state (`applied`). There is no other write, so levels are at every moment exactly the
 * state at `applied`, whatever crash happens.
 *
 *     open -> { get, iterator, stats }*                        the shard's thread
 *          -> { batch_new, put/delete/range, finish, commit }* one other thread at a time, beside it
 *          -> { checkpoint, files, compact, verify }*          threads of their own, beside all
 *          -> view_new -> { get, iterator }* -> view_free      made by the shard's thread, read by any, beside all
 *
 * Keys are bytes in the order of memcmp(), up to PD_LEVELS_KEY_SIZE_MAX; values up to PD_LEVELS_VALUE_SIZE_MAX. The first 8
 * bytes of a key are its actor: filters may use them.
 *
 * Errors: PD_CORRUPT (what was read is not what was written: the text names the file), PD_IO, PD_NO_SPACE (a batch or a
 * compaction found the disk full: nothing is lost, see pd_levels_resume()), PD_NO_MEMORY. */
#ifndef PD_STORE_LEVELS_H
#define PD_STORE_LEVELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"
#include "log/position.h"

struct pd_os;
struct pd_levels;
struct pd_levels_batch;
struct pd_levels_iterator;
struct pd_levels_view;

/* What follows from entries, as counters do, has actors from here on. Backends may keep it apart: no range of keys reaches
 * from below this actor's first key to beyond it. */
#define PD_LEVELS_DERIVED UINT64_C(0xffffffffffffff00)

#define PD_LEVELS_KEY_SIZE_MAX   (8u + UINT16_MAX)
#define PD_LEVELS_VALUE_SIZE_MAX (512u * 1024 * 1024 + 64)

enum pd_levels_kind {
	PD_LEVELS_NONE, /* everything stays in memory */
	PD_LEVELS_ROCKSDB,
	PD_LEVELS_PLAIN,
};

struct pd_levels_options {
	struct pd_os *os;
	const char *directory; /* holds nothing but these levels; its parent exists */
	bool create;           /* false: PD_NOT_FOUND when there is none */
	/* Change nothing in the directory, which others may read as well: there are gets, iterators and stats only. */
	bool read_only;
	size_t cache_bytes;              /* blocks, indexes and filters */
	uint64_t compaction_bytes_per_s; /* I/O limit of background work, 64 KiB/s at least; 0: none */
	/* Batches between two compactions: 0 is the backend's own rule. Small in tests, so that much happens. */
	unsigned compaction_trigger;
};

/* A value that was got; valid until pd_levels_value_done(). */
struct pd_levels_value {
	struct pd_slice slice;
	void *pin; /* the backend's */
};

struct pd_levels_stats {
	uint64_t files, bytes;             /* on disk, of what is live */
	uint64_t level0_files;             /* that every get has to look at: what back-pressure is about */
	uint64_t pending_compaction_bytes; /* estimate of what compaction still has to rewrite */
	uint64_t running_compactions;
	uint64_t cache_bytes;  /* in use */
	uint64_t memory_bytes; /* in use beside the cache */
	uint64_t entries;      /* estimate */
	bool failed;           /* background work has stopped on an error: see pd_levels_resume() */
	char failure[200];
};

/* A damaged place found by verify. */
struct pd_levels_damage {
	char file[64];
	struct pd_slice first_key, last_key; /* what may be concerned, both inclusive; sizes 0: unknown */
	char text[200];
};
/* Return false to stop. */
typedef bool pd_levels_report(void *context, const struct pd_levels_damage *damage);
/* Progress in bytes. Return false to stop. */
typedef bool pd_levels_progress(void *context, uint64_t done, uint64_t total);

/* A sorted file of the levels at work. */
struct pd_levels_file {
	const char *name; /* in their directory; while it is told */
	uint64_t bytes;
	unsigned depth; /* the deeper, the longer it is likely to stay */
};
/* An error ends the list. */
typedef int pd_levels_visit(void *context, const struct pd_levels_file *file, struct pd_error *err);
/* Return false to stop. */
typedef bool pd_levels_go_on(void *context);

/* The contract. Call the wrappers below. */
struct pd_levels_ops {
	int abi; /* PD_LEVELS_ABI */
	const char *name;
	int (*close)(struct pd_levels *levels, struct pd_error *err);
	int (*get)(struct pd_levels *levels, struct pd_slice key, struct pd_levels_value *ret_value,
		   struct pd_error *err);
	void (*value_done)(struct pd_levels_value *value);
	int (*iterator_new)(struct pd_levels *levels, struct pd_levels_iterator **ret_iterator,
			    struct pd_error *err);
	int (*seek)(struct pd_levels_iterator *iterator, struct pd_slice from, struct pd_slice to,
		    struct pd_error *err);
	int (*next)(struct pd_levels_iterator *iterator, struct pd_slice *ret_key, struct pd_slice *ret_value,
		    struct pd_error *err);
	void (*iterator_free)(struct pd_levels_iterator *iterator);
	int (*view_new)(struct pd_levels *levels, struct pd_levels_view **ret_view, struct pd_error *err);
	int (*view_get)(struct pd_levels_view *view, struct pd_slice key, struct pd_levels_value *ret_value,
			struct pd_error *err);
	int (*view_iterator_new)(struct pd_levels_view *view, struct pd_levels_iterator **ret_iterator,
				 struct pd_error *err);
	void (*view_free)(struct pd_levels_view *view);
	int (*batch_new)(struct pd_levels *levels, struct pd_levels_batch **ret_batch, struct pd_error *err);
	int (*batch_put)(struct pd_levels_batch *batch, struct pd_slice key, struct pd_slice value,
			 struct pd_error *err);
	int (*batch_delete)(struct pd_levels_batch *batch, struct pd_slice key, struct pd_error *err);
	int (*batch_delete_range)(struct pd_levels_batch *batch, struct pd_slice from, struct pd_slice to,
				  struct pd_error *err);
	int (*batch_finish)(struct pd_levels_batch *batch, struct pd_error *err);
	int (*batch_commit)(struct pd_levels_batch *batch, struct pd_log_position applied,
			    struct pd_error *err);
	void (*batch_free)(struct pd_levels_batch *batch);
	int (*checkpoint)(struct pd_levels *levels, const char *path, struct pd_error *err);
	int (*check_file)(struct pd_levels *levels, const char *directory, const char *name,
			  struct pd_error *err);
	int (*files)(struct pd_levels *levels, pd_levels_visit *visit, void *context, struct pd_error *err);
	int (*pace)(struct pd_levels *levels, uint64_t bytes, pd_levels_go_on *go_on, void *context,
		    struct pd_error *err);
	int (*compact)(struct pd_levels *levels, struct pd_slice from, struct pd_slice to,
		       struct pd_error *err);
	int (*verify)(struct pd_levels *levels, bool known, pd_levels_report *report,
		      pd_levels_progress *progress, void *context, struct pd_error *err);
	void (*cancel)(struct pd_levels *levels);
	int (*resume)(struct pd_levels *levels, struct pd_error *err);
	void (*set_cache_bytes)(struct pd_levels *levels, size_t bytes);
	void (*set_compaction_rate)(struct pd_levels *levels, uint64_t bytes_per_s);
	void (*stats)(const struct pd_levels *levels, struct pd_levels_stats *ret_stats);
};
#define PD_LEVELS_ABI 5

/* First member of every backend. */
struct pd_levels {
	const struct pd_levels_ops *ops;
	struct pd_log_position applied; /* what the levels hold; changes when a commit returns, in its thread:
					 * read it while no commit runs */
};

struct pd_levels_iterator {
	struct pd_levels *levels;
	/* The next seek is followed by a megabyte or more, most likely, which nobody reads again soon: set before it by whoever seeks. What is
	 * told does not depend on it. */
	bool reads_much;
};

struct pd_levels_batch {
	struct pd_levels *levels;
};

struct pd_levels_view {
	struct pd_levels *levels;
};

/* Open what is there, or with `create` make an empty one. PD_NOT_FOUND; PD_CORRUPT: it cannot be opened as it is.
 * What a crashed batch left behind is removed. */
PD_MUST_CHECK int pd_levels_open(enum pd_levels_kind kind, const struct pd_levels_options *options,
				 struct pd_levels **ret_levels, struct pd_error *err);
/* No iterator, view, batch or other call is left. Frees also on an error. NULL is fine. */
int pd_levels_close(struct pd_levels *levels, struct pd_error *err);

/* 1: found, *ret_value to be given back; 0: not there. Beside a batch that is being committed, what it deletes as a range can be gone a moment
 * before what it puts is there (an iterator and a view see all of it or nothing): who reads then has the batch's keys elsewhere, as the
 * store has in its frozen memtables. */
PD_MUST_CHECK int pd_levels_get(struct pd_levels *levels, struct pd_slice key,
				struct pd_levels_value *ret_value, struct pd_error *err);
void pd_levels_value_done(struct pd_levels *levels, struct pd_levels_value *value);

/* An iterator, not yet anywhere. It may be kept and used for many seeks; each sees one consistent state, that of the
 * seek or a later batch's, never half a batch. */
PD_MUST_CHECK int pd_levels_iterator_new(struct pd_levels *levels, struct pd_levels_iterator **ret_iterator,
					 struct pd_error *err);
/* Go to the first key in [from, to). `to` is always given (iterators have an upper bound); its bytes are copied. */
PD_MUST_CHECK int pd_levels_seek(struct pd_levels_iterator *iterator, struct pd_slice from,
				 struct pd_slice to, struct pd_error *err);
/* 1 and an entry, then move on; 0: the end. Slices are valid until the next call on this iterator. */
PD_MUST_CHECK int pd_levels_next(struct pd_levels_iterator *iterator, struct pd_slice *ret_key,
				 struct pd_slice *ret_value, struct pd_error *err);
void pd_levels_iterator_free(struct pd_levels_iterator *iterator); /* NULL is fine */

/* ---- views: the state of one moment ----
 *
 * No batch that is committed later, no compaction and no other upkeep changes what a view shows. It keeps what it shows on the
 * disk meanwhile, so it should not live for long. One thread at a time uses it, its values and its iterators, whichever that is. */

/* The state at this moment. PD_AGAIN: a batch is being committed right now, which takes milliseconds. Thread: the shard's. */
PD_MUST_CHECK int pd_levels_view_new(struct pd_levels *levels, struct pd_levels_view **ret_view,
				     struct pd_error *err);
/* As pd_levels_get(); the value is given back before the view is freed. */
PD_MUST_CHECK int pd_levels_view_get(struct pd_levels_view *view, struct pd_slice key,
				     struct pd_levels_value *ret_value, struct pd_error *err);
/* As pd_levels_iterator_new(), but every seek of it sees the view. It goes before the view does. */
PD_MUST_CHECK int pd_levels_view_iterator_new(struct pd_levels_view *view,
					      struct pd_levels_iterator **ret_iterator, struct pd_error *err);
void pd_levels_view_free(struct pd_levels_view *view); /* NULL is fine */

/* ---- batches: one at a time ----
 *
 * Keys of puts and deletes come strictly ascending, ranges at any time. A range [from, to) covers what is in the levels
 * already, nothing of its own batch. */
PD_MUST_CHECK int pd_levels_batch_new(struct pd_levels *levels, struct pd_levels_batch **ret_batch,
				      struct pd_error *err);
PD_MUST_CHECK int pd_levels_batch_put(struct pd_levels_batch *batch, struct pd_slice key,
				      struct pd_slice value, struct pd_error *err);
PD_MUST_CHECK int pd_levels_batch_delete(struct pd_levels_batch *batch, struct pd_slice key,
					 struct pd_error *err);
PD_MUST_CHECK int pd_levels_batch_delete_range(struct pd_levels_batch *batch, struct pd_slice from,
					       struct pd_slice to, struct pd_error *err);
/* Everything is written and synced, and not yet visible. */
PD_MUST_CHECK int pd_levels_batch_finish(struct pd_levels_batch *batch, struct pd_error *err);
/* Make it visible, all of it at once, together with `applied`. An empty batch only moves `applied`.
 * Durable when: it returns 0. After an error it is not visible, and a later batch may bring the same again. */
PD_MUST_CHECK int pd_levels_batch_commit(struct pd_levels_batch *batch, struct pd_log_position applied,
					 struct pd_error *err);
/* Frees it; one that was not committed leaves nothing behind. NULL is fine. */
void pd_levels_batch_free(struct pd_levels_batch *batch);

/* ---- upkeep, from threads of their own ---- */
/* Put a copy that can be opened under `path`, by hard links where possible. `path` is not there yet, its parent is.
 * Durable when: it returns 0 and the caller has synced the parent. On an error what was begun is removed. */
PD_MUST_CHECK int pd_levels_checkpoint(struct pd_levels *levels, const char *path, struct pd_error *err);
/* One file of a copy that was made so, or of the levels at work: read all of it past the page cache where that is possible, and see that
 * every checksum in it holds. 0 also of a file that has none of its own. Whoever calls it keeps to the I/O limit: pd_levels_pace().
 * PD_CORRUPT, PD_IO, PD_CANCELLED. */
PD_MUST_CHECK int pd_levels_check_file(struct pd_levels *levels, const char *directory, const char *name,
				       struct pd_error *err);
/* The sorted files that there are now, but for those that every batch replaces. Any may be gone when this returns. What has a name now
 * is the only one that ever has it while the levels are open. Also what `visit` returns. */
PD_MUST_CHECK int pd_levels_files(struct pd_levels *levels, pd_levels_visit *visit, void *context,
				  struct pd_error *err);
/* Wait until the limit of background I/O allows so many bytes more. `go_on` is asked meanwhile. PD_CANCELLED. */
PD_MUST_CHECK int pd_levels_pace(struct pd_levels *levels, uint64_t bytes, pd_levels_go_on *go_on,
				 void *context, struct pd_error *err);
/* Rewrite what is in [from, to) (sizes 0: everything), so that what is dead goes. PD_CANCELLED after pd_levels_cancel(). */
PD_MUST_CHECK int pd_levels_compact(struct pd_levels *levels, struct pd_slice from, struct pd_slice to,
				    struct pd_error *err);
/* Read everything and check every checksum; each damaged place is reported. 0: all was read (damage or not).
 * `progress` may be NULL. PD_CANCELLED. */
PD_MUST_CHECK int pd_levels_verify(struct pd_levels *levels, pd_levels_report *report,
				   pd_levels_progress *progress, void *context, struct pd_error *err);
/* The same where what is on the disk was just compared with what is to be there: so what the system has of it in memory will do. */
PD_MUST_CHECK int pd_levels_verify_known(struct pd_levels *levels, pd_levels_report *report,
					 pd_levels_progress *progress, void *context, struct pd_error *err);
/* Calls of other threads that take long come back soon with PD_CANCELLED, these and all later ones. For closing. */
void pd_levels_cancel(struct pd_levels *levels);
/* After stats.failed or PD_NO_SPACE: try whether background work can go on. No iterator or view is open. 0: it does. */
PD_MUST_CHECK int pd_levels_resume(struct pd_levels *levels, struct pd_error *err);
void pd_levels_set_cache_bytes(struct pd_levels *levels, size_t bytes);
/* As the option compaction_bytes_per_s; also for work that is going on. */
void pd_levels_set_compaction_rate(struct pd_levels *levels, uint64_t bytes_per_s);
void pd_levels_stats(const struct pd_levels *levels, struct pd_levels_stats *ret_stats);

#endif
