/* Which backup another one goes on from.
 *
 * Threads: as the repository. */
#ifndef PD_BACKUP_PARENT_H
#define PD_BACKUP_PARENT_H

#include "backup/catalog.h"
#include "backup/make.h"
#include "backup/repository.h"
#include "base/error.h"
#include "log/look.h"

/* What comes before a new one. */
struct pd_backup_lineage {
	/* With the newest moment of which this very log goes on: of two that end with the same the later one, which may have a state. NULL: none is. */
	const struct pd_backup_manifest *newest;
	/* That the new one names: the same, or, of a differential one, the full one before it. NULL: there is none. */
	const struct pd_backup_manifest *parent;
	/* The nearest one with a state: what it has of that is not read again. */
	const struct pd_backup_manifest *state;
};

/* They lie in the catalog. PD_NO_MEMORY, PD_IO, what the store has. */
PD_MUST_CHECK int pd_backup_find_lineage(struct pd_repository *repository, const struct pd_catalog *catalog,
					 const struct pd_backup_source *source,
					 const struct pd_log_look *look, enum pd_backup_kind kind,
					 struct pd_backup_lineage *ret_lineage, struct pd_error *err);

#endif
