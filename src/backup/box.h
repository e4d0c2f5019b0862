/* What an object of a repository consists of: a head, which says what follows, and that: as it is, or compressed where it helps, and
 * encrypted if the repository is. README.md has every byte.
 *
 * Threads: as the repository. */
#ifndef PD_BACKUP_BOX_H
#define PD_BACKUP_BOX_H

#include <stddef.h>
#include <stdint.h>

#include "backup/repository.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/slice.h"

#define PD_BOX_HEAD_SIZE 20u

/* What becomes the object of that name, one slice behind the other; encrypted if the repository is. Valid as long as the content, and until
 * the repository is used for anything else. PD_NO_MEMORY; PD_TOO_LARGE. */
#define PD_BOX_SLICES 2u
PD_MUST_CHECK int pd_box_pack(struct pd_repository *repository, const char *name, struct pd_slice content,
			      struct pd_slice ret_slices[PD_BOX_SLICES], struct pd_error *err);
/* What is in repository->object, which came as the object of that name: `size` bytes (PD_BOX_ANY_SIZE: up to `most`), valid until the
 * repository is used for anything else. PD_CORRUPT, PD_NEWER_FORMAT: the text names the object; PD_NO_MEMORY. */
#define PD_BOX_ANY_SIZE SIZE_MAX
PD_MUST_CHECK int pd_box_unpack(struct pd_repository *repository, const char *name, size_t size, size_t most,
				struct pd_slice *ret_content, struct pd_error *err);
/* Is the object there, and as long as its head says, with so much in it? *ret_bytes: how long. PD_NOT_FOUND; PD_CORRUPT: it is cut off, or
 * another; what the store has. */
PD_MUST_CHECK int pd_box_look(struct pd_repository *repository, const char *name, size_t size,
			      uint64_t *ret_bytes, struct pd_error *err);

#endif
