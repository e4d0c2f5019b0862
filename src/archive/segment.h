/* A segment of the log made again of its objects, as a file.
 *
 * Threads: one at a time; calls block. */
#ifndef PD_ARCHIVE_SEGMENT_H
#define PD_ARCHIVE_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "archive/catalog.h"
#include "archive/format.h"
#include "base/error.h"
#include "os/os.h"
#include "provider/object_store.h"

struct pd_archive_segment {
	struct pd_os *os;
	struct pd_object_store *store;
	struct pd_archive_log log;
	/* The whole, or pieces: of one segment, from its front on, each where the one before it ends. */
	const struct pd_archive_item *items;
	size_t count;
	/* Called now and then with the bytes of the file that have come; NULL is fine. false: PD_CANCELLED. */
	bool (*go_on)(void *context, uint64_t bytes);
	void *context;
};

struct pd_archive_segment_got {
	uint64_t bytes;                  /* of the log */
	uint32_t previous_crc, last_crc; /* of the group before it, and of its last one */
	struct pd_log_stretch last;      /* of its last object */
};

/* The file is made, and is not there before; it has the size that the segment was made with, unless its footer ends it. What is in it counts only when it
 * returns 0; its name is not synced. PD_CORRUPT: an object is damaged, another one, does not follow the one before, or is gone: the text names its LSNs;
 * PD_EXISTS: the file is there; PD_CANCELLED, PD_NEWER_FORMAT, PD_NO_SPACE, PD_IO, PD_NO_MEMORY. */
PD_MUST_CHECK int pd_archive_segment_get(const struct pd_archive_segment *segment, const char *path,
					 struct pd_archive_segment_got *ret_got, struct pd_error *err);

#endif
