/* Entries as a memtable has them, appended to a buffer. */
#ifndef PD_RESTORE_ENTRY_H
#define PD_RESTORE_ENTRY_H

#include "base/buffer.h"
#include "base/error.h"
#include "base/slice.h"
#include "model/txn.h"

struct pd_entry_parts {
	uint8_t type;
	uint64_t expires_us;
	struct pd_slice key, value;
};
PD_MUST_CHECK int pd_entry_append(struct pd_buffer *into, const struct pd_entry_parts *parts,
				  struct pd_error *err);

/* Bytes of the first entries that one put into a draft takes, of a buffer that has at least one. */
size_t pd_entry_run(struct pd_slice entries);

/* What the keys of all fields of the hash of that name begin with. `bytes` has 3 more than it. */
struct pd_slice pd_entry_field_prefix(uint8_t *bytes, struct pd_slice name);
/* The key of a chunk. */
struct pd_slice pd_entry_chunk_key(uint8_t key[PD_CHUNK_KEY_SIZE], uint64_t blob, uint64_t number);

#endif
