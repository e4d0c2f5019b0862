/* What is in an archive, as its list tells: bases, and which objects make up the run of each.
 *
 *     base 1       whole 1 | whole 2 | whole 3
 *     base 900     whole 9 | whole 10 | piece, piece, piece of 11
 *
 * A whole segment hides its pieces. Whether objects are what their names say is not looked at: that is for who reads them.
 *
 * Threads: one at a time. */
#ifndef PD_ARCHIVE_CATALOG_H
#define PD_ARCHIVE_CATALOG_H

#include <stddef.h>
#include <stdint.h>

#include "archive/format.h"
#include "base/error.h"
#include "provider/object_store.h"

/* An object of the log. */
struct pd_archive_item {
	struct pd_archive_part part; /* what its name tells */
	uint64_t bytes;              /* of the object */
};

struct pd_archive_keep {
	uint64_t base, lsn;
};

struct pd_archive_run {
	uint64_t base;
	uint64_t first_lsn;  /* base, or later: what was before has expired */
	size_t first, count; /* of the catalog's items: those that follow each other from the base on */
	uint64_t last_lsn;   /* of the run; first_lsn - 1: it is empty */
	uint64_t first_time_us, last_time_us;
	uint64_t epoch; /* of the last */
	uint64_t bytes; /* of the objects */
	bool broken;    /* there are others behind, which do not follow: objects are missing, LSNs from … */
	uint64_t missing_lsn;     /* this one on … */
	uint64_t missing_end_lsn; /* to before this one */
};

struct pd_archive_catalog {
	struct pd_archive_item
		*items; /* by base, then in the order of the log; what a whole segment hides is left out */
	size_t count, capacity;
	struct pd_archive_run *runs; /* by base */
	size_t run_count, run_capacity;
	struct pd_archive_item *expired; /* that should be gone, and are not yet; in no run */
	size_t expired_count, expired_capacity;
	struct pd_archive_keep *keeps; /* by base: where they begin */
	size_t keep_count, keep_capacity;
	struct pd_archive_item *hidden; /* pieces of segments that are there whole */
	size_t hidden_count, hidden_capacity;
};

void pd_archive_catalog_init(struct pd_archive_catalog *catalog);
void pd_archive_catalog_done(struct pd_archive_catalog *catalog);
/* All that there is of this log; or, with `base`, only of that base. Errors as pd_object_list() has them; PD_NO_MEMORY. */
PD_MUST_CHECK int pd_archive_catalog_load(struct pd_archive_catalog *catalog, struct pd_object_store *store,
					  const struct pd_archive_log *log, uint64_t base,
					  struct pd_error *err);
/* The newest base's LSN; 0: there is none. Costs a list of bases only as far as the store pages. */
PD_MUST_CHECK int pd_archive_newest_base(struct pd_object_store *store, const struct pd_archive_log *log,
					 uint64_t *ret_base, struct pd_error *err);
/* Which logs are there: calls `take` for each until it returns an error. */
PD_MUST_CHECK int pd_archive_logs(struct pd_object_store *store,
				  int (*take)(void *context, const struct pd_archive_log *log,
					      struct pd_error *err),
				  void *context, struct pd_error *err);

#endif
