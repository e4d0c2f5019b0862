/* What is in a state: its actors, and its hash. For the index of a backup, and to see that what was restored is the same.
 *
 * Threads: one at a time, whichever. */
#ifndef PD_BACKUP_CENSUS_H
#define PD_BACKUP_CENSUS_H

#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/hash.h"
#include "store/checkpoint.h"
#include "store/store.h"

enum pd_census_part {
	PD_CENSUS_HASH = 1 << 0,  /* takes reading all of it */
	PD_CENSUS_INDEX = 1 << 1, /* takes reading the names */
};

struct pd_census {
	struct pd_hash128 hash; /* what pd_engine_state_hash() gives */
	uint64_t actors, keys, bytes;
};

struct pd_census_options {
	unsigned parts; /* enum pd_census_part: only these are found out */
	/* Takes the lines of the index, as README.md has them, a few at a time; NULL: nobody wants them. An error ends it. */
	int (*take)(void *context, struct pd_slice lines, struct pd_error *err);
	/* Called every so many entries. An error ends it. NULL is fine. */
	int (*step)(void *context, struct pd_error *err);
	void *context;
};

/* Of a state that nobody changes meanwhile. PD_CORRUPT: the text says where; PD_NO_MEMORY, PD_IO, and what the options' functions say. */
PD_MUST_CHECK int pd_census_take(struct pd_store *store, const struct pd_census_options *options,
				 struct pd_census *ret_census, struct pd_error *err);
/* A checkpoint as it lies there, to be read. To be closed. As pd_checkpoint_open() and pd_store_open(). */
PD_MUST_CHECK int pd_census_open_checkpoint(struct pd_os *os, const struct pd_checkpoint *checkpoint,
					    struct pd_store **ret_store, struct pd_error *err);
/* The same of that. */
PD_MUST_CHECK int pd_census_of_checkpoint(struct pd_os *os, const struct pd_checkpoint *checkpoint,
					  const struct pd_census_options *options,
					  struct pd_census *ret_census, struct pd_error *err);

#endif
