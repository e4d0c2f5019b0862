/* One line of an export (docs/format/export.md), taken apart: the text alone, whatever came before it. */
#ifndef PD_RESTORE_IMPORT_LINE_H
#define PD_RESTORE_IMPORT_LINE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/slice.h"
#include "crypto/digest.h"
#include "engine/profile.h"
#include "model/relation/relation.h"

enum pd_import_kind {
	PD_IMPORT_HEADER,
	PD_IMPORT_KEY,
	PD_IMPORT_FIELD,
	PD_IMPORT_PART,
	PD_IMPORT_RELATION,
	PD_IMPORT_END
};
enum pd_import_what {
	PD_IMPORT_VALUE,  /* all of it is in `bytes` */
	PD_IMPORT_SIZE,   /* `number` bytes come in parts */
	PD_IMPORT_FIELDS, /* `number` of them come */
};

struct pd_import_line {
	struct pd_buffer *name;  /* of the actor, the key, the field, the actor that is related */
	struct pd_buffer *bytes; /* of a value or a part, what a relation says */
	uint8_t relation[PD_RELATION_KIND_MAX]; /* its kind */
	size_t relation_size;
	enum pd_relation_side side;
	enum pd_import_kind kind;
	enum pd_import_what what; /* of a key or a field */
	uint64_t number, expires_us;
	uint64_t version; /* of the first line */
	struct pd_profile profile;
	/* Of the last. */
	uint64_t lines, keys;
	struct pd_hash128 hash;
	uint8_t sha256[PD_SHA256_SIZE];
};

/* `line` has its two buffers. `first`: it must be a first line, else any other. PD_CORRUPT: it is none that was ever written, and the text
 * says from which byte on; PD_NEWER_FORMAT, PD_NO_MEMORY. */
PD_MUST_CHECK int pd_import_line_parse(struct pd_slice text, bool first, struct pd_import_line *line,
				       struct pd_error *err);

#endif
