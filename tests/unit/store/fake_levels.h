/* Levels in memory, for tests: every call can be made to fail, and what must hold between calls is asserted. */
#ifndef FAKE_LEVELS_H
#define FAKE_LEVELS_H

#include "store/levels.h"

/* What outlives the levels. */
struct fake_disk;
struct fake_disk *fake_disk_new(void);
void fake_disk_free(struct fake_disk *disk);
struct pd_levels *fake_levels_open(struct fake_disk *disk);

enum fake_call {
	FAKE_GET,
	FAKE_ITERATOR_NEW,
	FAKE_SEEK,
	FAKE_NEXT,
	FAKE_VIEW_NEW,
	FAKE_BATCH_NEW,
	FAKE_BATCH_WRITE, /* put, delete or range */
	FAKE_BATCH_FINISH,
	FAKE_BATCH_COMMIT,
	FAKE_RESUME,
	FAKE_CALLS
};
/* The nth call from now (1 = the next) fails once. 0 switches it off. */
void fake_disk_fail(struct fake_disk *disk, enum fake_call call, unsigned n, int code);
/* Calls of this kind so far. */
unsigned fake_disk_calls(const struct fake_disk *disk, enum fake_call call);
unsigned fake_disk_iterators(const struct fake_disk *disk); /* that are open */
unsigned fake_disk_views(const struct fake_disk *disk);     /* the same */
uint64_t fake_disk_rows(const struct fake_disk *disk);

#endif
