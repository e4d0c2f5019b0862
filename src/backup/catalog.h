/* All backups of a repository, and what follows from them together: which moments can be made again, and of what.
 *
 * Threads: as the repository. */
#ifndef PD_BACKUP_CATALOG_H
#define PD_BACKUP_CATALOG_H

#include <stddef.h>

#include "backup/manifest.h"
#include "backup/repository.h"
#include "base/error.h"

struct pd_catalog {
	struct pd_backup_manifest *items; /* in the order in which they were made */
	size_t count, capacity;
	size_t damaged;        /* manifests that cannot be read */
	struct pd_error first; /* why not, of the first of those */
};

/* Who loads, and is to be heard of meanwhile: called every now and then, and an error ends it. */
struct pd_catalog_watch {
	int (*step)(void *context, struct pd_error *err);
	void *context;
};

/* One that cannot be read does not hide the others. `watch` may be NULL. PD_NO_MEMORY, PD_NEWER_FORMAT, what the store has. */
PD_MUST_CHECK int pd_catalog_load(struct pd_repository *repository, const struct pd_catalog_watch *watch,
				  struct pd_catalog *ret_catalog, struct pd_error *err);
/* The same of backups of some actors, which are never among those of directories. */
PD_MUST_CHECK int pd_catalog_load_actors(struct pd_repository *repository,
					 const struct pd_catalog_watch *watch, struct pd_catalog *ret_catalog,
					 struct pd_error *err);
void pd_catalog_done(struct pd_catalog *catalog);
/* NULL: there is none. */
const struct pd_backup_manifest *pd_catalog_find(const struct pd_catalog *catalog, const char *id);
/* The one that was made last. NULL: there is none. */
const struct pd_backup_manifest *pd_catalog_newest(const struct pd_catalog *catalog);

/* The one of that id; NULL: the one that was made last. PD_NOT_FOUND; PD_INVALID: it is of some actors, of which no directory is made; PD_CORRUPT: a manifest cannot be read, and may be the one that is meant. */
PD_MUST_CHECK int pd_catalog_choose(const struct pd_catalog *catalog, const char *id,
				    const struct pd_backup_manifest **ret_manifest, struct pd_error *err);

/* The full one that leads to this backup, or itself; and the nearest with a state. NULL: it is not there (any more). */
const struct pd_backup_manifest *pd_catalog_full_before(const struct pd_catalog *catalog,
							const struct pd_backup_manifest *last);
const struct pd_backup_manifest *pd_catalog_state_before(const struct pd_catalog *catalog,
							 const struct pd_backup_manifest *last);

/* The log that the backups behind `from`, which leads to `to`, and up to that have, as the files of one manifest: from the record that `from`
 * ends with. *ret_log is initialized here, to be given back in any case. PD_CORRUPT: log is missing between two; PD_NO_MEMORY. */
PD_MUST_CHECK int pd_catalog_log(const struct pd_catalog *catalog, const struct pd_backup_manifest *from,
				 const struct pd_backup_manifest *to, struct pd_backup_manifest *ret_log,
				 struct pd_error *err);

/* From where to where every moment can be made again by what leads to this backup. */
struct pd_backup_reach {
	struct pd_backup_moment from, to;        /* from.lsn 0: the beginning */
	const struct pd_backup_manifest *oldest; /* that the first of them is made of */
};
/* PD_NOT_FOUND: none can: it is of log alone, and what it goes on from is not there. */
PD_MUST_CHECK int pd_catalog_reach(const struct pd_catalog *catalog, const struct pd_backup_manifest *last,
				   struct pd_backup_reach *ret_reach, struct pd_error *err);

/* What a directory is to be made of for a moment: the newest checkpoint on the way to `last` that is not after it (by LSN, or else by time), and
 * the log from there to the end of `last`, as one manifest. *ret_plan is initialized here, to be given back in any case. PD_NOT_FOUND: no
 * checkpoint is as old; PD_CORRUPT: log is missing between two backups; PD_NO_MEMORY. */
struct pd_backup_wish {
	uint64_t lsn;     /* 0: not known */
	uint64_t time_us; /* 0: not known. Neither: the end */
};
PD_MUST_CHECK int pd_catalog_plan(const struct pd_catalog *catalog, const struct pd_backup_manifest *last,
				  const struct pd_backup_wish *wish, struct pd_backup_manifest *ret_plan,
				  struct pd_error *err);
/* As pd_catalog_choose(); without an id the one that was made last of those that lead from a state at the moment or before: not the newest, where that goes back to a younger full one only. Where none does
 * it is the newest. */
PD_MUST_CHECK int pd_catalog_choose_for(const struct pd_catalog *catalog, const char *id,
					const struct pd_backup_wish *wish,
					const struct pd_backup_manifest **ret_manifest, struct pd_error *err);

#endif
