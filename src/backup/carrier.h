/* Pieces on their way into a repository or out of it, several at a time, beside whoever makes them or uses them: each is put (hashed, compressed, sealed), got
 * or looked for by a task of its own.
 *
 * Threads: one uses it, and may wait; the tasks have repositories of their own. */
#ifndef PD_BACKUP_CARRIER_H
#define PD_BACKUP_CARRIER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backup/piece.h"
#include "backup/repository.h"
#include "base/error.h"
#include "base/slice.h"

struct pd_carrier;

enum pd_carrying {
	PD_CARRY_PUT,
	PD_CARRY_LOOK, /* is it there, as large as it was? */
	PD_CARRY_GET,
	PD_CARRY_FLUSH, /* what was put stays: the carrier's own, nobody is told */
};

/* What became of a piece. */
struct pd_carried {
	enum pd_carrying what;
	size_t file, number; /* as they were given */
	size_t size;
	struct pd_piece piece;
	struct pd_piece_stored stored; /* of one that was put or looked for */
	struct pd_slice content;       /* of one that was got */
	bool is_bad;                   /* it was looked for or to be got, and is missing or damaged: */
	const struct pd_error *why;
};

struct pd_carrier_options {
	struct pd_repository *repository;
	/* Called every so often while it waits. An error ends it. */
	int (*step)(void *context, struct pd_error *err);
	/* Called for each piece, in any order. An error ends it. What it points to is valid until it returns. */
	int (*take)(void *context, const struct pd_carried *carried, struct pd_error *err);
	/* Called before that by the task that has got the piece, and so several at a time; NULL: nobody. Not for one that is bad. */
	int (*got)(void *context, const struct pd_carried *carried, struct pd_error *err);
	void *context;
};

PD_MUST_CHECK int pd_carrier_new(const struct pd_carrier_options *options, struct pd_carrier **ret_carrier,
				 struct pd_error *err);
/* What is under way is told to end, and waited for. NULL is fine. */
void pd_carrier_free(struct pd_carrier *carrier);
/* Each begins with it, or waits until it can. An error may be that of an earlier one.
 * Durable when: pd_carrier_wait() has returned 0 after it. `content` is copied. */
PD_MUST_CHECK int pd_carrier_put(struct pd_carrier *carrier, struct pd_slice content, size_t file,
				 size_t number, struct pd_error *err);
/* Room for the content of the next one, PD_PIECE_SIZE, in an empty buffer, and put what is there then: spares the copy. */
PD_MUST_CHECK int pd_carrier_room(struct pd_carrier *carrier, struct pd_buffer **ret_room,
				  struct pd_error *err);
PD_MUST_CHECK int pd_carrier_put_room(struct pd_carrier *carrier, size_t file, size_t number,
				      struct pd_error *err);
PD_MUST_CHECK int pd_carrier_ask(struct pd_carrier *carrier, enum pd_carrying what,
				 const struct pd_piece *piece, size_t size, size_t file, size_t number,
				 struct pd_error *err);
/* Until nothing is under way, and all that was put stays. */
PD_MUST_CHECK int pd_carrier_wait(struct pd_carrier *carrier, struct pd_error *err);

#endif
