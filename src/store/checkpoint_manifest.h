/* The manifest of a checkpoint as text: docs/format/checkpoint.md. */
#ifndef PD_STORE_CHECKPOINT_MANIFEST_H
#define PD_STORE_CHECKPOINT_MANIFEST_H

#include "base/buffer.h"
#include "store/checkpoint.h"

/* The manifest's text. PD_NO_MEMORY, PD_TOO_LARGE. */
PD_MUST_CHECK int pd_checkpoint_format(const struct pd_checkpoint *checkpoint,
				       const uint8_t cluster_id[PD_CLUSTER_ID_SIZE], uint32_t shard,
				       struct pd_buffer *text);
/* Fill in what a manifest says, except for the path. `name` is for messages. PD_CORRUPT: damaged, or of another cluster or
 * shard; PD_NEWER_FORMAT; PD_NO_MEMORY. What was filled in stays, to be freed. */
PD_MUST_CHECK int pd_checkpoint_parse(struct pd_slice text, const char *name,
				      const uint8_t cluster_id[PD_CLUSTER_ID_SIZE], uint32_t shard,
				      struct pd_checkpoint *checkpoint, struct pd_error *err);

#endif
