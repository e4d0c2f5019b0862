/* An engine with an archive on a simulated machine, and what is made of the archive. */
#ifndef PD_TESTS_UNIT_ARCHIVE_WORLD_H
#define PD_TESTS_UNIT_ARCHIVE_WORLD_H

#include "../engine/host.h"
#include "archive/archive.h"
#include "archive/catalog.h"
#include "archive/fetch.h"
#include "archive/format.h"
#include "provider/object_store.h"

#define ARCHIVE "archive" /* the directory of the store */

struct arc {
	struct host host;
	struct pd_archive *archive;
	uint64_t disk_limit, retention_s;
	unsigned written; /* keys */
};

void arc_init(struct arc *arc);
void arc_done(struct arc *arc);
/* Engine and archive. */
void arc_open(struct arc *arc);
void arc_close(struct arc *arc);
/* The process ends, or the power; and again. */
void arc_crash(struct arc *arc, bool power);
/* `count` keys more, about 300 bytes each. Stops where a write fails: its code. */
int arc_write(struct arc *arc, unsigned count);
void arc_tick(struct arc *arc);
struct pd_archive_status arc_status(const struct arc *arc);
/* Until all that is durable is archived; false: that does not come. */
bool arc_settle(struct arc *arc);

/* The store, anew. */
struct pd_object_store *arc_store(struct arc *arc);
struct pd_archive_log arc_log(struct arc *arc, const char *data_directory);
/* Make a data directory of what is archived up to this LSN. */
int arc_fetch(struct arc *arc, const char *directory, struct pd_log_position from, uint64_t to_lsn,
	      struct pd_archive_fetched *ret_fetched, struct pd_error *err);
/* Rebuild it from nothing, open an engine on it, and compare the state with this. */
void arc_expect_rebuilt(struct arc *arc, uint64_t to_lsn, struct pd_hash128 hash);
/* What is in the archive. Give it back with pd_archive_catalog_done(). */
void arc_load(struct arc *arc, struct pd_archive_catalog *catalog);
/* Copy a tree of files. */
void arc_copy(struct arc *arc, const char *from, const char *to);

#endif
