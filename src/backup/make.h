/* Making a backup: from where the data is to a manifest in a repository. What the repository has already is not sent again.
 *
 * Threads: one, which may wait, and its tasks; nothing that it uses changes meanwhile. */
#ifndef PD_BACKUP_MAKE_H
#define PD_BACKUP_MAKE_H

#include <stdbool.h>
#include <stdint.h>

#include "backup/census.h"
#include "backup/manifest.h"
#include "backup/repository.h"
#include "base/error.h"
#include "store/checkpoint.h"

/* What is backed up: a checkpoint, and the log from there to the end, in a data directory. It stays as it is until the backup is made.
 *
 *   full          all of it is read
 *   incremental   files of the checkpoint that the parent has are not read again; the log since the parent's end is in it as well, so that the
 *                 moments between can be made again
 *   differential  the same, since the last full one, which is its parent: log that the directory lacks by now is taken over from the backups between,
 *                 of which it needs none
 *   log           the log since the parent's end, and no checkpoint
 *
 *   actors        some actors, as they were at the end, as lines of exports: no file of the directory; README.md, "Some actors"
 *
 * The parent is the backup with the newest moment of which this log goes on, or of a differential one the full one that leads to that. */
struct pd_backup_source {
	struct pd_os *os;
	const char *data_directory;
	uint8_t cluster_id[PD_CLUSTER_ID_SIZE];
	uint32_t shard;
	const struct pd_checkpoint *
		checkpoint; /* NULL: there is none, and the log has all since LSN 1; of log alone: not looked at */
	struct pd_backup_moment end; /* all up to there is on stable storage */
	/* What is in the state of then. Called for its hash in a task, beside the sending, then for its index: one at a time. */
	int (*census)(void *context, const struct pd_census_options *options, struct pd_census *ret_census,
		      struct pd_error *err);
	/* The state of then, for a backup of some actors. Whoever gives it has it back when the backup is made. */
	int (*state)(void *context, struct pd_store **ret_store, struct pd_error *err);
	void *context;
};

struct pd_backup_order {
	struct pd_repository_place repository;
	enum pd_backup_kind kind;
	const char *tenant,
		*match;     /* of some actors: whose (NULL: "default"), and which, as in KEYS (NULL: all) */
	bool without_state; /* its hash and the index are not made, which takes reading all of it */
	struct pd_backup_watch watch;
	enum pd_levels_kind levels; /* of a directory: what its state is kept in; NONE: the usual ones */
};

#define PD_BACKUP_NOTICE_SIZE 512u

struct pd_backup_made {
	char id[PD_BACKUP_ID_MAX];
	struct pd_backup_moment end;
	uint64_t files, bytes; /* in it */
	uint64_t stored_bytes; /* of their pieces' objects, */
	uint64_t sent_bytes;   /* of which the repository has got so many for it: the rest was there */
	uint64_t actors, keys;
	char state[33]; /* "": not known */
	char parent[PD_BACKUP_ID_MAX];
	bool lacks_full; /* of one that failed: there is none to go on from, and a full one would do */
	char notice[PD_BACKUP_NOTICE_SIZE]; /* what whoever ordered it must know; "": nothing */
};

/* Durable when: it returns 0. After an error there is no backup, or, where only the last look at the lease failed, a whole one; what was sent of it counts for the next. PD_BUSY: somebody writes to the
 * repository; PD_FENCED: somebody has taken it over; PD_CONFLICT: it is another cluster's; PD_CORRUPT: damage, of the source or of what
 * the repository has; PD_NOT_FOUND: there is no parent, or no such actor; PD_END: there is no log since the parent's end; PD_CANCELLED; PD_NO_SPACE, PD_NO_MEMORY, what the store has. */
PD_MUST_CHECK int pd_backup_make(const struct pd_backup_source *source, const struct pd_backup_order *order,
				 struct pd_backup_made *ret_made, struct pd_error *err);

#endif
