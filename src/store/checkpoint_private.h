/* What the files of the checkpoints share. */
#ifndef PD_STORE_CHECKPOINT_PRIVATE_H
#define PD_STORE_CHECKPOINT_PRIVATE_H

#include "base/slice.h"
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
/* Where one of its files is. NULL: no memory. */
char *pd_checkpoint_file_path(const struct pd_checkpoint *checkpoint, const char *name);
/* Is that what it was when the checkpoint was made? */
bool pd_checkpoint_file_is(const struct pd_checkpoint_file *file, uint64_t size, struct pd_hash128 hash);
/* Has the checkpoint (NULL: there is none) the very same file, not only one of the same name and size? 1: *ret_hash is what it was
 * then; 0: no. PD_NO_MEMORY. */
PD_MUST_CHECK int pd_checkpoint_knows(struct pd_os *os, const struct pd_checkpoint *checkpoint,
				      const char *name, const struct pd_os_file_info *info,
				      struct pd_hash128 *ret_hash, struct pd_error *err);

#endif
