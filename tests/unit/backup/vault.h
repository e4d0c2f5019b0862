/* A life on a simulated machine, backups of it in a repository there, and directories that are made of them. */
#ifndef PD_TESTS_UNIT_BACKUP_VAULT_H
#define PD_TESTS_UNIT_BACKUP_VAULT_H

#include "../history/world.h"
#include "backup/actors.h"
#include "backup/catalog.h"
#include "backup/directory.h"
#include "backup/job.h"
#include "backup/lease.h"
#include "backup/restore.h"
#include "backup/verify.h"

#define REPOSITORY "/vault"
#define TARGET     "/again"
#define KEY        "/key"

/* Where it is; encrypted under the key in KEY, if there is such a file. */
struct pd_repository_place vault_place(struct pd_os *os);
/* From here on everything in a new repository is encrypted. */
void vault_make_key(struct pd_os *os);

/* A small engine with a few keys of every kind. */
void vault_fill(struct world *world, unsigned acts);
/* The hash of everything, now. */
struct pd_hash128 vault_hash(struct world *world);
/* Of the directory, which nobody has open. Returns the code. */
int vault_back_up(struct world *world, struct pd_backup_made *ret_made, struct pd_error *err);
/* By the engine that runs. Returns the code. */
int vault_back_up_live(struct world *world, enum pd_backup_kind kind, struct pd_backup_made *ret_made,
		       struct pd_error *err);
/* Of some actors: those that match (NULL: all), of the directory, and by the engine that runs. Return the code. */
int vault_back_up_actors(struct world *world, const char *match, struct pd_backup_made *ret_made,
			 struct pd_error *err);
int vault_back_up_actors_live(struct world *world, const char *tenant, const char *match,
			      struct pd_backup_made *ret_made, struct pd_error *err);
/* Verify it, and check each of its actors. Returns the code of what went wrong first. */
int vault_check_actors(struct pd_os *os, const char *id, struct pd_error *err);
/* Verify, then restore into TARGET. Returns the code of what went wrong first. */
int vault_restore(struct pd_os *os, const char *id, struct pd_backup_restored *ret_restored,
		  struct pd_error *err);
/* The same with what leads to that backup (NULL: the newest), up to that LSN (0: to its end). */
int vault_restore_at(struct pd_os *os, const char *id, uint64_t lsn, struct pd_backup_restored *ret_restored,
		     struct pd_error *err);
/* Open TARGET, and see that it is of this hash and can be written to. */
void vault_expect(struct world *world, struct pd_hash128 hash);
bool vault_is_there(struct pd_os *os, const char *path);

#endif
