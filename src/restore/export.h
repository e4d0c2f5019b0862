/* An actor as lines of JSON, as docs/format/export.md has them: all that state had at a moment, also what has expired and was not removed
 * yet, so that what is made of the lines has the same hash.
 *
 * Threads: as the past's. */
#ifndef PD_RESTORE_EXPORT_H
#define PD_RESTORE_EXPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/hash.h"
#include "crypto/digest.h"
#include "restore/source.h"

#define PD_EXPORT_VERSION  2u /* with relations; without any it is 1, which every version reads */
#define PD_EXPORT_PIECE    ((size_t)128 * 1024) /* about; more where a line alone is longer */
#define PD_EXPORT_PART     ((size_t)64 * 1024)  /* of a value, on a line of its own */
#define PD_EXPORT_LINE_MAX ((size_t)1024 * 1024)
/* A value of so many bytes comes in parts. With a key, and every byte of both as two, it is still within a line. */
#define PD_EXPORT_PARTS_MIN ((size_t)256 * 1024)

struct pd_export {
	const struct pd_restore_source *source;
	struct pd_slice actor; /* its name */
	struct pd_sha256 *sha256;
	struct pd_buffer from;  /* the key to go on with, as the store has it */
	struct pd_buffer field; /* inside of a hash: the field to go on with */
	struct pd_buffer value; /* that comes in parts: what was read of it */
	size_t value_done;      /* and is written */
	uint64_t chunk;         /* inside of a large string: the number of the next */
	bool without_relations; /* to be said before the first lines */
	bool begun, inside, relating, done;
	uint64_t keys, lines, bytes; /* so far */
	struct pd_hash128 hash;      /* as the last line has it, when it is done */
};

/* The source and the name outlive it. To be given back with pd_export_done(). */
void pd_export_init(struct pd_export *export, const struct pd_restore_source *source, struct pd_slice actor);
void pd_export_done(struct pd_export *export);
/* The next lines into `into`, emptied first; export->done: these are the last. What reading the past fails with; PD_NOT_SUPPORTED: it has
 * values of a kind that has no lines; PD_CORRUPT, too: a snapshot that is not what it was. */
PD_MUST_CHECK int pd_export_fill(struct pd_export *export, struct pd_buffer *into, struct pd_error *err);

#endif
