/* What a backup of some actors has: which they are, and each as the lines of an export (docs/format/export.md). README.md, "Some actors".
 *
 * Threads: as the repository, which is used for nothing else while it is open. */
#ifndef PD_BACKUP_ACTORS_H
#define PD_BACKUP_ACTORS_H

#include <stddef.h>
#include <stdint.h>

#include "backup/manifest.h"
#include "backup/repository.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/slice.h"

#define PD_BACKUP_ACTOR_LINE_MAX 1024u /* of the index, about an actor */

struct pd_backup_actors;

struct pd_backup_actor {
	uint64_t id, keys, bytes; /* bytes of its keys and values, as far as they were counted */
	uint64_t at, size;        /* of its lines among those of all */
	struct pd_hash128 hash;   /* of its state, without relations to others */
	struct pd_slice name;     /* valid until the next one is asked for */
};

/* Reads the index, and sees that it agrees with the manifest, which outlives this. PD_CORRUPT: objects are missing or damaged, or it does not; PD_INVALID: it is no backup of some actors;
 * PD_NO_MEMORY, PD_CANCELLED, what the store has. */
PD_MUST_CHECK int pd_backup_actors_open(struct pd_repository *repository,
					const struct pd_backup_manifest *manifest,
					const struct pd_backup_watch *watch,
					struct pd_backup_actors **ret_actors, struct pd_error *err);
void pd_backup_actors_close(struct pd_backup_actors *actors); /* NULL is fine */
/* The next in the order of their names; NULL: that were all, and then the first comes again. */
const struct pd_backup_actor *pd_backup_actors_next(struct pd_backup_actors *actors);
/* The one of that name; the next is the one behind it. NULL: there is none. */
const struct pd_backup_actor *pd_backup_actors_find(struct pd_backup_actors *actors, struct pd_slice name);

/* Its export, as of the moment of the backup, some lines at a time. What `take` says ends it. Before the last line is given, all is checked that can be: the
 * checksum over those before it, and that it has the hash of the index. PD_CORRUPT names the object, or the actor. */
PD_MUST_CHECK int pd_backup_actors_read(struct pd_backup_actors *actors, const struct pd_backup_actor *actor,
					int (*take)(void *context, struct pd_slice lines,
						    struct pd_error *err),
					void *context, struct pd_error *err);
/* Would an import take it, and does it give the hash that it says? actors_check.c. As above. */
PD_MUST_CHECK int pd_backup_actors_check(struct pd_backup_actors *actors, const struct pd_backup_actor *actor,
					 struct pd_error *err);

#endif
