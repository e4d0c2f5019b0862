/* The archive of a running engine: rounds in tasks, one after the other, and what is kept on the disk for them.
 *
 * Threads: the engine's. Nothing here waits, but for the end. */
#ifndef PD_ARCHIVE_ARCHIVE_H
#define PD_ARCHIVE_ARCHIVE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct pd_archive;
struct pd_engine;
struct pd_os;
struct pd_object_place;

struct pd_archive_options {
	struct pd_os *os;
	struct pd_engine *engine;            /* recovered, with a directory */
	const struct pd_object_place *place; /* provider/place.h */
	uint64_t interval_ms;                /* what is durable is archived within it, at the store's speed */
	uint64_t retention_s;                /* archived segments that are older may go; 0: none do */
	uint64_t disk_limit; /* bytes of log that may wait for the archive; 0: as many as it takes */
};
#define PD_ARCHIVE_INTERVAL_MS_DEFAULT 1000
#define PD_ARCHIVE_DISK_LIMIT_DEFAULT  (UINT64_C(10) << 30)

enum pd_archive_state {
	PD_ARCHIVE_STARTING, /* where it goes on is not known yet */
	PD_ARCHIVE_FOLLOWING,
	PD_ARCHIVE_FAILING, /* and tries again */
	PD_ARCHIVE_REFUSED, /* somebody else archives there: nothing is written, until that has changed */
};
const char *pd_archive_state_name(enum pd_archive_state state);

struct pd_archive_status {
	enum pd_archive_state state;
	const char *address;
	bool working;
	uint64_t base_lsn;     /* the newest base; 0: none yet */
	uint64_t archived_lsn; /* all from the base to it is archived and was read back; 0: nothing */
	uint64_t archived_us;  /* its time, since 1970; 0: nothing */
	uint64_t durable_lsn;
	uint64_t lag_us;    /* between the newest durable and the newest archived record, by their times */
	uint64_t lag_bytes; /* of log that is not archived */
	uint64_t
		waiting_bytes; /* of log that is on the disk for the archive: from the first segment on that is not whole in it */
	uint64_t disk_limit;
	bool let_go;             /* beyond the limit: what is not archived may be trimmed */
	uint64_t objects, bytes; /* archived since the start */
	uint64_t failures, gaps; /* since the start */
	uint64_t expired;        /* objects that went since the start, being older than they had to be */
	const char *hold;        /* the hold that keeps what should have gone; "": none */
	uint64_t retry_us;       /* with a failure: in how long it is tried again */
	const char *failure;     /* what fails now, in words; "": nothing */
	const char *gap;         /* the newest gap, in words; "": none since the start */
};

/* It keeps the log from here on. PD_INVALID, PD_NOT_FOUND, PD_PERMISSION, …: the address is of no use; PD_NOT_SUPPORTED: the engine has no
 * directory; PD_NO_MEMORY. */
PD_MUST_CHECK int pd_archive_new(const struct pd_archive_options *options, struct pd_archive **ret_archive,
				 struct pd_error *err);
/* Begin a round if it is time, take in one that has ended. Often: by pd_archive_deadline_us() at the latest. */
void pd_archive_tick(struct pd_archive *archive);
/* Monotonic microseconds. */
uint64_t pd_archive_deadline_us(const struct pd_archive *archive);
void pd_archive_status(const struct pd_archive *archive, struct pd_archive_status *ret_status);
void pd_archive_set_interval(struct pd_archive *archive, uint64_t ms);
void pd_archive_set_retention(struct pd_archive *archive, uint64_t seconds);
void pd_archive_set_disk_limit(struct pd_archive *archive, uint64_t bytes);
/* Before it is freed: what is durable by now goes into the store, if that takes no longer than this. Waits. */
void pd_archive_finish(struct pd_archive *archive, uint64_t patience_us);
/* It ends at once. Before the engine is closed. NULL is fine. */
void pd_archive_free(struct pd_archive *archive);

#endif
