/* Pieces of files as objects, called by what is in them.
 *
 * Threads: as the repository. */
#ifndef PD_BACKUP_PIECE_H
#define PD_BACKUP_PIECE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backup/repository.h"
#include "base/error.h"
#include "crypto/digest.h"

/* SHA-256 of the content, or HMAC-SHA-256 where all is encrypted: key.h. */
struct pd_piece {
	uint8_t digest[PD_SHA256_SIZE];
};

#define PD_PIECE_NAME_SIZE (sizeof "lines/ab/" + 2 * PD_SHA256_SIZE)
/* "data/ab/ab12…" */
void pd_piece_name(const struct pd_piece *piece, char name[PD_PIECE_NAME_SIZE]);
/* The same in another folder, one of repository.h's. */
void pd_piece_name_in(const char *folder, const struct pd_piece *piece, char name[PD_PIECE_NAME_SIZE]);

struct pd_piece_stored {
	uint64_t bytes; /* of its object */
	uint64_t sent;  /* the same, or 0: it was there */
};

/* Have it in the repository. Durable when: pd_object_flush() of its store has returned 0 after it. PD_CORRUPT: what is there is damaged. */
PD_MUST_CHECK int pd_piece_put(struct pd_repository *repository, struct pd_slice content,
			       struct pd_piece *ret_piece, struct pd_piece_stored *ret_stored,
			       struct pd_error *err);
/* Its content, which is `size` bytes, checked; valid until the repository is used for anything else. PD_CORRUPT: missing, damaged or
 * another; the text names the object. */
PD_MUST_CHECK int pd_piece_get(struct pd_repository *repository, const struct pd_piece *piece, size_t size,
			       struct pd_slice *ret_content, struct pd_error *err);
/* Is it there, and as large as it was made? Its content is another question. PD_CORRUPT: no. */
PD_MUST_CHECK int pd_piece_look(struct pd_repository *repository, const struct pd_piece *piece, size_t size,
				uint64_t *ret_bytes, struct pd_error *err);

#endif
