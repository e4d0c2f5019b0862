/* The archive, written out as lines of JSON, for whoever reads that: a file for each tenant, day and stretch of the log, and a checksum beside it. It is derived: nothing is restored from it.
 * docs/format/jsonl.md has every byte.
 *
 * Killed anywhere, the next one goes on: a stretch is planned, its plan put, and then its files, none of which is ever replaced. What a plan names and is not there is made again, of the same records.
 *
 * Threads: one at a time; calls block. */
#ifndef PD_CLI_EXPORT_H
#define PD_CLI_EXPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "archive/format.h"
#include "base/error.h"
#include "os/os.h"
#include "provider/object_store.h"

struct pd_export {
	struct pd_os *os;
	struct pd_object_store *archive; /* where the log is */
	struct pd_archive_log log;
	struct pd_object_store *target;
	const char *
		scratch; /* a directory for some segments of the log. What is in it goes; its parent is there */
	bool open_too;   /* what is archived of the segment that is being written, too */
	/* Now and then; NULL is fine. False: PD_CANCELLED. */
	bool (*go_on)(void *context, uint64_t done_bytes, uint64_t total_bytes);
	void *context;
};

struct pd_exported {
	uint64_t last_lsn;                       /* all up to it is exported */
	uint64_t stretches, files, lines, bytes; /* by this call; bytes as they are stored */
	uint64_t gap_first_lsn, gap_last_lsn;    /* the last that the archive does not have; 0: none */
};

/* What the archive has by now. PD_CORRUPT: objects there or here are damaged, or a record is missing: the text says which; PD_CONFLICT: another log was exported there; PD_BUSY: somebody else
 * exports there now; PD_NOT_FOUND: what was begun cannot be ended, since it has expired in the archive; PD_NEWER_FORMAT, PD_NO_SPACE, PD_NO_MEMORY, PD_CANCELLED, what the stores have. What is done
 * is in *ret_done then, too. */
PD_MUST_CHECK int pd_export_run(const struct pd_export *order, struct pd_exported *ret_done,
				struct pd_error *err);

/* ---- export_check.c ---- */

struct pd_export_verdict {
	uint64_t stretches, files, lines, bytes;
	uint64_t first_lsn, last_lsn;
	uint64_t damaged; /* of which `damage` was told */
};

struct pd_export_check {
	struct pd_object_store *target;
	void (*damage)(void *context, const char *text);
	void (*step)(void *context, uint64_t files); /* after each file; NULL is fine */
	void *context;
};

/* Every file against its checksum and its plan, and that no LSN is missing. 0: all was looked at, and the verdict says what was found. What the store has; PD_NO_MEMORY. */
PD_MUST_CHECK int pd_export_check(const struct pd_export_check *check, struct pd_export_verdict *ret_verdict,
				  struct pd_error *err);
/* All of a store's object, into an empty buffer. As pd_object_get(). */
PD_MUST_CHECK int pd_export_read(struct pd_object_store *store, const char *name, struct pd_buffer *bytes,
				 struct pd_error *err);
/* What a file holds: its lines and their SHA-256; `take` (NULL is fine) gets each line, without its line feed. PD_CORRUPT, PD_NO_MEMORY, those of `take`. */
struct pd_export_content {
	uint64_t lines, bytes;
	uint8_t sha256[PD_SHA256_SIZE];
};
PD_MUST_CHECK int pd_export_look(struct pd_slice file, int (*take)(void *context, struct pd_slice line),
				 void *context, struct pd_export_content *ret_content);
/* What the checksum beside the file says: as sha256sum writes it. PD_NO_MEMORY. */
PD_MUST_CHECK int pd_export_checksum(const char *path, struct pd_slice file, struct pd_buffer *text);

#endif
