/* Other keys for an encrypted repository: nothing that is in it is written anew. README.md, "Encryption", says what that protects from, and what not.
 *
 * The repository was opened with a key of it. One at a time does this: under the lease. Killed anywhere, the key that opened it or the new one still does, and the
 * same once more ends it.
 *
 * Threads: as the repository. */
#ifndef PD_BACKUP_REKEY_H
#define PD_BACKUP_REKEY_H

#include <stdbool.h>
#include <stdint.h>

#include "backup/place.h"
#include "backup/repository.h"
#include "base/error.h"

struct pd_rekeyed {
	uint32_t added, removed; /* numbers; removed 0: none, or the one that the repository was made with */
	bool was_there;          /* the new one opened it before */
	bool gone;               /* one is removed */
	bool first;              /* and it was the master key itself */
};

/* What this place names opens the repository, too. PD_INVALID: it names none, or there are as many as there can be; PD_BUSY: somebody writes to the
 * repository; PD_CONFLICT: the key that opened it has gone meanwhile; PD_FENCED, PD_CANCELLED, PD_NO_MEMORY, what the store has. */
PD_MUST_CHECK int pd_rekey_add(struct pd_repository *repository, const struct pd_repository_place *new_place,
			       const struct pd_backup_watch *watch, struct pd_rekeyed *ret_done,
			       struct pd_error *err);
/* And what it was opened with does not any more. As above; PD_INVALID: they are the same. */
PD_MUST_CHECK int pd_rekey_change(struct pd_repository *repository,
				  const struct pd_repository_place *new_place,
				  const struct pd_backup_watch *watch, struct pd_rekeyed *ret_done,
				  struct pd_error *err);
/* The copies of slots that are damaged or missing are put right. As pd_rekey_add(). */
PD_MUST_CHECK int pd_rekey_mend(struct pd_repository *repository, const struct pd_backup_watch *watch,
				struct pd_error *err);
/* The key of that number, 0: what the repository was made with, does not open it any more. PD_NOT_FOUND: there is none; PD_INVALID: it is the one that it was opened with. As above else. */
PD_MUST_CHECK int pd_rekey_remove(struct pd_repository *repository, uint32_t number,
				  const struct pd_backup_watch *watch, struct pd_rekeyed *ret_done,
				  struct pd_error *err);

#endif
