/* Backing up a data directory that nobody serves. Nothing in it changes but for its lock. */
#ifndef PD_BACKUP_DIRECTORY_H
#define PD_BACKUP_DIRECTORY_H

#include "backup/make.h"

/* Of all that it has. As pd_backup_make(), and PD_NOT_FOUND: it is no data directory; PD_BUSY: a process has it; PD_CORRUPT also where a server
 * would quarantine somebody: repair it first. Thread: one, which may wait. */
PD_MUST_CHECK int pd_backup_make_of_directory(struct pd_os *os, const char *data_directory,
					      const struct pd_backup_order *order,
					      struct pd_backup_made *ret_made, struct pd_error *err);

#endif
