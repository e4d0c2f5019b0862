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

/* The one with the newest moment of which this very log goes on: of two that end with the same the later one, which may have a state. *ret_parent NULL: there is
 * none. PD_NO_MEMORY, PD_IO, what the store has. */
PD_MUST_CHECK int pd_backup_find_parent(struct pd_repository *repository, const struct pd_catalog *catalog,
					const struct pd_backup_source *source, const struct pd_log_look *look,
					const struct pd_backup_manifest **ret_parent, struct pd_error *err);

#endif
