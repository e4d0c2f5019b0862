/* Where a repository is. */
#ifndef PD_BACKUP_PLACE_H
#define PD_BACKUP_PLACE_H

#include <stdbool.h>

#include "base/error.h"
#include "provider/place.h"

/* Texts are borrowed. */
struct pd_repository_place {
	struct pd_object_place store;
	/* What its objects are encrypted under, one of the two: 32 random bytes, or a passphrase. NULL or "": no such file is given. */
	const char *key_file, *passphrase_file;
	bool is_known; /* there was a repository: where there is none any more its disk is missing, and none is made */
	bool may_be_new; /* who orders a backup says that one may begin there all the same */
	bool is_there;   /* a directory that is not there is a disk that is missing, and none is made */
};
/* The repository in this directory. */
#define PD_REPOSITORY_IN(path) ((struct pd_repository_place){ .store = { .address = (path) } })

/* Does its address name a service, and no directory? */
bool pd_repository_place_is_remote(const struct pd_repository_place *place);
/* With texts of its own; to be given back, whatever comes of it. PD_NO_MEMORY. */
PD_MUST_CHECK int pd_repository_place_copy(const struct pd_repository_place *place,
					   struct pd_repository_place *ret_copy);
void pd_repository_place_done(struct pd_repository_place *copy);

#endif
