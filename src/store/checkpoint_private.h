/* What the files of the checkpoints share. */
#ifndef PD_STORE_CHECKPOINT_PRIVATE_H
#define PD_STORE_CHECKPOINT_PRIVATE_H

#include "base/buffer.h"
#include "store/checkpoint.h"

#define PD_CHECKPOINT_PREFIX    "checkpoint-" /* and 20 digits */
#define PD_CHECKPOINT_NAME_SIZE (sizeof PD_CHECKPOINT_PREFIX - 1 + 20)
#define PD_CHECKPOINT_MANIFEST  "CHECKPOINT"
#define PD_CHECKPOINT_LEVELS    "levels"

/* Make room for one more file and name it; size and hash are the caller's to set. PD_NO_MEMORY. */
PD_MUST_CHECK int pd_checkpoint_add_file(struct pd_checkpoint *checkpoint, struct pd_slice name,
					 struct pd_checkpoint_file **ret_file);
/* May this be the name of a file in a checkpoint? */
bool pd_checkpoint_name_fits(struct pd_slice name);

/* ---- checkpoint_manifest.c ---- */
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
