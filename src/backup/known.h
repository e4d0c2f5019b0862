/* The places that a data directory was backed up into by its server: DATA/repositories, an address a line. A place where there was a repository, and is none any more, is a disk that is not mounted.
 *
 * Threads: one at a time. */
#ifndef PD_BACKUP_KNOWN_H
#define PD_BACKUP_KNOWN_H

#include <stdbool.h>

#include "base/error.h"
#include "os/os.h"

/* What cannot be read is not known. */
bool pd_backup_is_known(struct pd_os *os, const char *data_directory, const char *address);
/* Durable when: it returns 0. PD_NO_SPACE, PD_IO …: it is as it was. */
PD_MUST_CHECK int pd_backup_note_known(struct pd_os *os, const char *data_directory, const char *address,
				       struct pd_error *err);

#endif
