/* Pieces of files as objects, called by what is in them.
 *
 * Threads: as the repository. */
#ifndef PD_BACKUP_PIECE_H
#define PD_BACKUP_PIECE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backup/repository.h"
#include "base/buffer.h"
#include "base/error.h"
#include "crypto/digest.h"

#define PD_PIECE_SIZE       ((size_t)8 * 1024 * 1024)
#define PD_PIECE_HEAD_SIZE  16u
#define PD_PIECE_OBJECT_MAX (PD_PIECE_SIZE + PD_PIECE_HEAD_SIZE)

struct pd_piece {
	uint8_t sha256[PD_SHA256_SIZE];
};

#define PD_PIECE_NAME_SIZE (sizeof "data/ab/" + 2 * PD_SHA256_SIZE)
/* "data/ab/ab12…" */
void pd_piece_name(const struct pd_piece *piece, char name[PD_PIECE_NAME_SIZE]);

/* Have it in the repository. *ret_stored: the bytes that had to be stored for it; 0: it was there.
 * Durable when: it returns 0. */
PD_MUST_CHECK int pd_piece_put(struct pd_repository *repository, struct pd_slice content,
			       struct pd_piece *ret_piece, uint64_t *ret_stored, struct pd_error *err);
/* Its content, which is `size` bytes, checked; valid until the repository is used for anything else. PD_CORRUPT: missing, damaged or
 * another; the text names the object. */
PD_MUST_CHECK int pd_piece_get(struct pd_repository *repository, const struct pd_piece *piece, size_t size,
			       struct pd_slice *ret_content, struct pd_error *err);
/* Is it there, and as large as it would be? Its content is another question. PD_CORRUPT: no. */
PD_MUST_CHECK int pd_piece_look(struct pd_repository *repository, const struct pd_piece *piece, size_t size,
				struct pd_error *err);

#endif
