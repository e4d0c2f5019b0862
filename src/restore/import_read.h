/* Lines of JSON, as docs/format/export.md has them, into entries as a memtable has them. Whatever comes, nothing gets into an actor that
 * could not have come to be there: keys and fields in their order, each once; hashes with as many fields as they say; values of their size.
 * A line is taken only as an export would have written it.
 *
 * Threads: one at a time. */
#ifndef PD_RESTORE_IMPORT_READ_H
#define PD_RESTORE_IMPORT_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/slice.h"
#include "crypto/digest.h"
#include "engine/profile.h"
#include "model/txn.h"

struct pd_import_reader {
	struct pd_blob sizes; /* from which size on a string is a blob, and how large its chunks are */
	uint64_t value_max;   /* of a value that is not: it is kept in memory as a whole */
	struct pd_sha256 *sha256;
	struct pd_buffer line; /* what has come of it */
	bool whole;            /* all of it, and it was not taken yet */
	bool begun, ended;     /* the first line was read, the last */

	/* Of the first. */
	uint64_t version;
	struct pd_buffer actor;
	struct pd_profile profile;
	/* Of the last. */
	struct pd_hash128 hash;

	struct pd_buffer key, field; /* the last of each */
	struct pd_buffer relations;  /* all of them, as entries: for whoever publishes what was made */
	struct pd_buffer relation;   /* the key of the last */
	uint64_t relation_count;
	struct pd_buffer name, bytes; /* of the line at hand */
	bool any_key, any_field;
	uint64_t expires_us;             /* of the key at hand */
	uint64_t fields_left;            /* of the hash at hand */
	uint64_t value_size, value_left; /* of the value at hand, which comes in parts */
	bool value_is_field, value_is_blob;
	struct pd_buffer value;            /* what has come of it, or of its chunk */
	uint64_t blob, chunk;              /* their numbers */
	uint64_t next_number, numbers_end; /* for blobs */
	uint64_t lines, keys, entry_bytes; /* so far */
};

#define PD_IMPORT_PIECE ((size_t)128 * 1024) /* of entries, about */

enum pd_import_stop {
	PD_IMPORT_ALL,     /* all bytes were taken */
	PD_IMPORT_BEGUN,   /* the first line was read: before it there was nothing to be put anywhere */
	PD_IMPORT_NUMBERS, /* it has to be given numbers for blobs first */
	PD_IMPORT_FULL,    /* so many entries */
};

void pd_import_reader_init(struct pd_import_reader *reader, struct pd_blob sizes, uint64_t value_max);
void pd_import_reader_done(struct pd_import_reader *reader);
void pd_import_reader_give(struct pd_import_reader *reader, uint64_t first, uint64_t count);
/* Entries are appended to `into`, until something is to be done first; *ret_taken bytes are not to come again. PD_INVALID and PD_CORRUPT name
 * the line; PD_NEWER_FORMAT, PD_TOO_LARGE (a value that may not be kept in memory), PD_NO_MEMORY. After an error it is over. */
PD_MUST_CHECK int pd_import_read(struct pd_import_reader *reader, struct pd_slice bytes, size_t *ret_taken,
				 struct pd_buffer *into, enum pd_import_stop *ret_stop, struct pd_error *err);
/* That was all. PD_CORRUPT: the last line is missing. */
PD_MUST_CHECK int pd_import_read_end(const struct pd_import_reader *reader, struct pd_error *err);

#endif
