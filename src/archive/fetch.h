/* Archived segments as files of a log: what is put into a directory is a log, which recovery opens and replays as any other.
 *
 * All is checked on the way: that objects are what their names say, hash by hash; that they follow each other, in LSNs, epochs and the chain of groups. It
 * is said before anything is written, if the list alone shows that LSNs are missing.
 *
 * Threads: one at a time; calls block. */
#ifndef PD_ARCHIVE_FETCH_H
#define PD_ARCHIVE_FETCH_H

#include <stdbool.h>
#include <stdint.h>

#include "archive/format.h"
#include "base/error.h"
#include "log/position.h"
#include "os/os.h"
#include "provider/object_store.h"

struct pd_archive_fetch {
	struct pd_os *os;
	struct pd_object_store *store;
	struct pd_archive_log log;
	/* Where the log is to lie: "<data>/log/0000". Its parent is there; it is made, or empty. */
	const char *directory;
	/* The state that will be replayed onto has everything up to here (pd_store_applied(), a checkpoint's position): the log needs this very record,
	 * in this epoch. lsn 0: it is to be replayed from nothing, so from LSN 1 on. */
	struct pd_log_position from;
	uint64_t to_lsn; /* as far as that at least, which has to be there; UINT64_MAX: as far as there is */
	/* After every object, and now and then meanwhile; NULL is fine. False: PD_CANCELLED. */
	bool (*go_on)(void *context, uint64_t done_bytes, uint64_t total_bytes);
	void *context;
};

struct pd_archive_fetched {
	uint64_t first_lsn, last_lsn; /* of the log that is there now */
	uint64_t last_epoch, last_time_us;
	uint64_t base;
	uint64_t segments, objects;
	uint64_t bytes; /* of the files */
};

/* Durable when: it returns 0. After an error the directory may hold segments, each of them whole: remove it.
 * Errors: PD_NOT_FOUND: what is asked for is not in the archive, and which LSNs are; PD_CORRUPT: an object is missing, damaged or another one, the text names it and its LSNs;
 * PD_CONFLICT: the archive has the record `from` in another epoch: it is of another history; PD_EXISTS: there is something in the directory; PD_NEWER_FORMAT;
 * PD_NO_SPACE, PD_IO, PD_NO_MEMORY, PD_CANCELLED. */
PD_MUST_CHECK int pd_archive_fetch(const struct pd_archive_fetch *fetch,
				   struct pd_archive_fetched *ret_fetched, struct pd_error *err);

/* What makes a data directory of the one that the log lies in ("<data>"). The epoch that begins there is none that the archive's server has come to, as far as it went on: so
 * bookmarks of what was not fetched are lost there, and never taken for others. Durable when: it returns 0. */
PD_MUST_CHECK int pd_archive_fetch_finish(const struct pd_archive_fetch *fetch,
					  const struct pd_archive_fetched *fetched,
					  const char *data_directory, struct pd_error *err);

#endif
