/* Pieces on their way into a repository, several at a time, beside whoever makes them: each is hashed, compressed and put by a task of its own.
 *
 * Threads: one uses it, and may wait; the tasks have repositories of their own. */
#ifndef PD_BACKUP_SENDER_H
#define PD_BACKUP_SENDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backup/piece.h"
#include "backup/repository.h"
#include "base/error.h"
#include "base/slice.h"

struct pd_sender;

/* What became of a piece. */
struct pd_sent {
	size_t file, number; /* as they were given */
	size_t size;
	bool looked;     /* it was to be looked at, */
	bool is_missing; /* and is not there, or cut off */
	struct pd_piece piece;
	struct pd_piece_stored stored;
};

struct pd_sender_options {
	struct pd_repository *repository;
	/* Called every so often while it waits. An error ends it. */
	int (*step)(void *context, struct pd_error *err);
	/* A piece is in the repository, or was looked at. In any order. */
	void (*take)(void *context, const struct pd_sent *sent);
	void *context;
};

PD_MUST_CHECK int pd_sender_new(const struct pd_sender_options *options, struct pd_sender **ret_sender,
				struct pd_error *err);
/* What is under way is told to end, and waited for. NULL is fine. */
void pd_sender_free(struct pd_sender *sender);
/* Put a copy of it, or wait until that can begin. An error may be that of an earlier one. */
PD_MUST_CHECK int pd_sender_put(struct pd_sender *sender, struct pd_slice content, size_t file, size_t number,
				struct pd_error *err);
/* See whether this one is there, as large as it was. */
PD_MUST_CHECK int pd_sender_look(struct pd_sender *sender, const struct pd_piece *piece, size_t size,
				 size_t file, size_t number, struct pd_error *err);
/* Until nothing is under way. */
PD_MUST_CHECK int pd_sender_wait(struct pd_sender *sender, struct pd_error *err);

#endif
