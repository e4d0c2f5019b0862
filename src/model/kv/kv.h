/* Key-values: strings, bits, keys and hashes with the semantics of Redis 7. */
#ifndef PD_MODEL_KV_KV_H
#define PD_MODEL_KV_KV_H

#include "model/command.h"

extern const struct pd_command pd_kv_commands[];
extern const size_t pd_kv_command_count;

/* ---- strings as they are kept: whole, or as a head (PD_TYPE_LARGE) that names chunks ---- */
/* Has the value the form that its type asks for? Asked wherever entries come from the disk: what is told to a model has it. */
bool pd_kv_makes_sense(uint8_t type, struct pd_slice value);
/* What a head says. The entry is of PD_TYPE_LARGE. */
struct pd_blob pd_kv_blob(const struct pd_entry *entry);
/* The value of a head that says this. */
#define PD_KV_HEAD_SIZE_MAX 30u
struct pd_slice pd_kv_blob_head(const struct pd_blob *blob, uint8_t head[PD_KV_HEAD_SIZE_MAX]);
/* The length of a string, large or not. */
uint64_t pd_kv_string_size(const struct pd_entry *entry);
/* All bytes of a string that was found, to where there is room for them. Of `call`, only txn and err matter. PD_CORRUPT. */
PD_MUST_CHECK int pd_kv_copy_string(struct pd_call *call, const struct pd_key *key,
				    const struct pd_entry *entry, uint8_t *to);
/* All bytes of a string that was found, in memory until the transaction ends: `entry` is as if it were kept whole then. Of `call`,
 * only txn and err matter. PD_NO_MEMORY: it is too large for that; PD_AGAIN: see pd_txn_room(); PD_CORRUPT. */
PD_MUST_CHECK int pd_kv_whole(struct pd_call *call, const struct pd_key *key, struct pd_entry *entry);

#endif
