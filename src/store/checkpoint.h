/* The checkpoints of one shard: whole copies of its levels, each the state at one place in the log. They lie beside the
 * levels that the shard works on:
 *
 *   live/                              the levels at work
 *   live.new/                          about to become them: being installed
 *   live.old/                          replaced, being removed
 *   checkpoint-00000000000000001234/   the state at LSN 1234
 *       CHECKPOINT                     its manifest: what it is of, and every file with its size and hash
 *       levels/                        the copy, by hard links where files are never written again
 *   checkpoint-….new/                  being made
 *   checkpoint-….old/                  being removed
 *
 * A directory gets its name without a suffix by a rename, when all that is in it is on stable storage, and loses it before
 * anything in it is removed. So what has such a name is whole, whatever crash happened; what has another is a leftover.
 *
 * Threads: pd_checkpoints_… (the shelf) belong to the shard's thread and take no time. pd_checkpoint_… do the work on files:
 * on any thread, several of them beside each other and beside the shelf, as long as what they were given stays on the shelf,
 * see pd_checkpoints_hold(). A checkpoint does not change once it is made, except for its holds.
 *
 *     pd_checkpoints_plan()          shelf
 *     pd_checkpoint_create()         work: no commit to these levels until it calls `progress` or returns
 *     pd_checkpoints_settle()        shelf: from here on it counts
 *
 *     pd_checkpoints_take()          shelf: it counts no more
 *     pd_checkpoint_remove()         work */
#ifndef PD_STORE_CHECKPOINT_H
#define PD_STORE_CHECKPOINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/hash.h"
#include "log/log.h"
#include "log/position.h"
#include "os/os.h"
#include "store/levels.h"

#define PD_CHECKPOINT_FORMAT_VERSION 1
#define PD_CHECKPOINT_LIVE           "live" /* the name of the levels at work, beside the checkpoints */

struct pd_ahead;

struct pd_checkpoint_file {
	char *name; /* in `levels` */
	uint64_t size;
	struct pd_hash128 hash;
	/* All of it was read back for this checkpoint, when it was made or ahead of it; else the hash is that of an earlier
	 * checkpoint which has the very same file (not a copy of it). */
	bool read_back;
	bool ahead; /* of one that was just made: read back before, see store/ahead.h */
};

struct pd_checkpoint {
	struct pd_log_position position; /* what it is the state of */
	uint64_t time_us;                /* of that moment */
	enum pd_levels_kind kind;
	uint64_t bytes;      /* of all its files, of which it shares most with its neighbours */
	uint64_t own_bytes;  /* of those that no earlier one had when it was made */
	uint64_t read_bytes; /* and of these what was read while it was made; 0 of one that was found */
	char *path;          /* its directory */
	struct pd_checkpoint_file *files; /* by name */
	size_t file_count;
	unsigned holds; /* the shard's thread only */
};

/* A checkpoint that is of no use, and why. */
struct pd_checkpoint_wreck {
	uint64_t lsn; /* of its name */
	char *path;
	struct pd_error why;
};

struct pd_checkpoints {
	struct pd_os *os;
	char *directory;
	uint8_t cluster_id[PD_CLUSTER_ID_SIZE];
	uint32_t shard;
	struct pd_checkpoint **items; /* oldest first */
	size_t count;
	struct pd_checkpoint_wreck *wrecks; /* by path */
	size_t wreck_count;
	size_t planned; /* room in `items` that was promised */
};

struct pd_checkpoints_options {
	struct pd_os *os;
	const char *directory; /* <data>/store/0000 */
	uint8_t cluster_id[PD_CLUSTER_ID_SIZE];
	uint32_t shard;
	bool only_look; /* leave leftovers alone: they may be another process's work */
};

/* What a checkpoint will be of. */
struct pd_checkpoint_plan {
	struct pd_os *os;
	const char *directory; /* the shelf's */
	uint8_t cluster_id[PD_CLUSTER_ID_SIZE];
	uint32_t shard;
	enum pd_levels_kind kind;
	struct pd_log_position position;
	uint64_t time_us;
	struct pd_checkpoint *previous; /* whose hashes are remembered, held; NULL: none */
	const struct pd_ahead
		*ahead; /* what was read back before; not at work meanwhile. May be NULL, to be filled in */
	/* Called with the bytes read back, may be NULL. Returns false to stop. From the first call on the levels are copied, and
	 * may change. */
	pd_levels_progress *progress;
	void *context;
};

/* ---- the shelf: the shard's thread ---- */

/* See what there is. A checkpoint that is damaged, of another cluster, or of a newer format becomes a wreck and is left where it
 * is; leftovers are removed. A directory that is not there holds none. PD_IO (it cannot be listed), PD_NO_MEMORY. */
PD_MUST_CHECK int pd_checkpoints_open(const struct pd_checkpoints_options *options,
				      struct pd_checkpoints **ret_shelf, struct pd_error *err);
/* No plan is open, nothing is held. NULL is fine. */
void pd_checkpoints_free(struct pd_checkpoints *shelf);
/* The newest one at or below `lsn`; NULL: none. */
struct pd_checkpoint *pd_checkpoints_find(const struct pd_checkpoints *shelf, uint64_t lsn);
/* It stays on the shelf until it is released. */
void pd_checkpoints_hold(struct pd_checkpoint *checkpoint);
void pd_checkpoints_release(struct pd_checkpoint *checkpoint);

/* Begin to make one, of levels that are the state at `position`. Fill in `progress` and `ahead` if wanted. PD_EXISTS: there is one of
 * this LSN. PD_NO_MEMORY. */
PD_MUST_CHECK int pd_checkpoints_plan(struct pd_checkpoints *shelf, enum pd_levels_kind kind,
				      struct pd_log_position position, uint64_t time_us,
				      struct pd_checkpoint_plan *ret_plan, struct pd_error *err);
/* The end of a plan: `checkpoint` is what came of it and now the shelf's, NULL if nothing did. Cannot fail. */
void pd_checkpoints_settle(struct pd_checkpoints *shelf, struct pd_checkpoint_plan *plan,
			   struct pd_checkpoint *checkpoint);

/* Take one off that nobody holds. It is the caller's, to be removed with pd_checkpoint_remove() and freed. If that does not
 * happen, it is on the next shelf again. */
void pd_checkpoints_take(struct pd_checkpoints *shelf, struct pd_checkpoint *checkpoint);
/* The same for one that was found to be damaged: it becomes a wreck, freed, its files stay. */
void pd_checkpoints_condemn(struct pd_checkpoints *shelf, struct pd_checkpoint *checkpoint,
			    const struct pd_error *why);
/* Forget the wrecks of this path: it was removed. */
void pd_checkpoints_forget(struct pd_checkpoints *shelf, const char *path);

/* ---- the work: any thread ---- */

/* Make the checkpoint that was planned, read back what is new in it and was not read ahead, and check every checksum in that. No batch is committed to the levels until it
 * calls plan->progress or returns: position says what they hold.
 * Durable when: it returns 0. After an error nothing of it counts. PD_NO_SPACE, PD_CANCELLED, what pd_levels_checkpoint()
 * says, PD_CORRUPT (of a file that the levels at work have as well), PD_IO. */
PD_MUST_CHECK int pd_checkpoint_create(const struct pd_checkpoint_plan *plan, struct pd_levels *levels,
				       struct pd_checkpoint **ret_checkpoint, struct pd_error *err);
/* Read every file, from the disk where it can be had, and compare the hashes. `progress` may be NULL. PD_CORRUPT: the text
 * names the first damaged file and says how many there are. PD_IO, PD_CANCELLED, PD_NO_MEMORY: it is not known. */
PD_MUST_CHECK int pd_checkpoint_verify(struct pd_os *os, const struct pd_checkpoint *checkpoint,
				       pd_levels_progress *progress, void *context, struct pd_error *err);
/* Make it the levels at `live_path`, which lies on the same file system and is not open. What was there is removed. Files that
 * are copied are checked on the way; for those that are linked, see pd_checkpoint_verify().
 * After a crash there is the old one, or none (install again), or the new one, each whole.
 * Durable when: it returns 0. PD_CORRUPT, PD_NO_SPACE, PD_IO: what was there is still there, or (PD_IO) none. */
PD_MUST_CHECK int pd_checkpoint_install(struct pd_os *os, const struct pd_checkpoint *checkpoint,
					const char *live_path, struct pd_error *err);
/* Open its levels for reading, as they are; nothing in the checkpoint changes. It stays on the disk until they are closed, or what is
 * read of it may be missing. PD_CORRUPT also where they are not of the checkpoint's position. */
PD_MUST_CHECK int pd_checkpoint_open(struct pd_os *os, const struct pd_checkpoint *checkpoint,
				     size_t cache_bytes, struct pd_levels **ret_levels, struct pd_error *err);
/* Remove a checkpoint's or a wreck's directory. After an error or a crash it is whole, or removed by the next opening.
 * Durable when: it returns 0. */
PD_MUST_CHECK int pd_checkpoint_remove(struct pd_os *os, const char *path, struct pd_error *err);
void pd_checkpoint_free(struct pd_checkpoint *checkpoint); /* NULL is fine */

#endif
