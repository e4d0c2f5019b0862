/* One round of archiving: what is new in the log goes into the store, segment by segment, each object read back before it counts.
 *
 * Threads: a round runs in a task, which has the struct for itself but for what is atomic. Between two rounds it is its owner's. */
#ifndef PD_ARCHIVE_ROUND_H
#define PD_ARCHIVE_ROUND_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "archive/format.h"
#include "base/error.h"
#include "log/raw.h"
#include "provider/object_store.h"
#include "provider/place.h"

/* Where archiving goes on. */
struct pd_archive_place {
	bool known;        /* proved from the store, in this process */
	uint64_t base;     /* 0: none has begun */
	uint64_t next_lsn; /* all before it, from the base on, is archived */
	uint64_t
		segment_lsn; /* and all before this one in whole segments: the log may be trimmed up to there */
	struct pd_log_stretch last; /* the newest that was archived in the base; segment 0: nothing */
	uint32_t pieces;            /* that there are of the segment that comes next, at most */
	uint32_t given_up;          /* a damaged segment: no base begins before the one behind it; 0: none */
	uint64_t claimed_epoch;     /* up to which epochs are known to be ours */
};

/* What is told while a round runs, and after it. */
struct pd_archive_figures {
	_Atomic uint64_t next_lsn, segment_lsn; /* as of the place; 0: not known yet */
	_Atomic uint64_t time_us;               /* of the newest archived record */
	_Atomic uint64_t base;
	_Atomic uint64_t objects, bytes; /* put and read back since the start; bytes of the log */
	_Atomic uint64_t gaps;
	_Atomic uint64_t expired; /* objects */
};

struct pd_archive_round {
	struct pd_os *os;
	struct pd_log_options source; /* of the log's files */
	struct pd_archive_log log;
	struct pd_log_raw *raw; /* the log's segments as of the last round; NULL: they are listed anew */
	struct pd_object_store *store; /* NULL: it could not be opened yet */
	const struct pd_object_place *place_of_store;
	uint64_t durable_lsn;  /* all up to it is on stable storage */
	uint64_t retention_us; /* what is older, by the newest archived record, expires; 0: nothing does */
	uint64_t expire_ns;    /* monotonic: not before that again */
	unsigned
		hasty; /* objects that are compressed in haste before it is tried again how well they can be */
	bool urgent;   /* it does not give way to what serves: the archive is behind */
	_Atomic uint64_t until_ns; /* monotonic: no longer than that; 0: as long as it takes */
	atomic_bool cancelled;

	struct pd_archive_place place;
	struct pd_archive_figures figures;
	int result;
	struct pd_error err;
	bool refused;     /* with an error: somebody else archives there */
	char hold[80];    /* who keeps what should expire; "": nobody */
	char gap[700];    /* the newest, in words; "": none in this process */
	char damage[320]; /* what was wrong where the log was given up last */
};

/* Do it; the result is in round->result. */
void pd_archive_round_run(struct pd_archive_round *round);
/* What rounds keep between them. */
void pd_archive_round_done(struct pd_archive_round *round);

/* ---- start.c ---- */
/* Find out from the store where to go on. PD_CONFLICT: it has what this log has not. */
PD_MUST_CHECK int pd_archive_start(struct pd_archive_round *round, struct pd_log_raw *raw,
				   struct pd_error *err);
/* Make sure that the epochs of this log are ours in the store, and none is there that comes later. PD_CONFLICT: they are somebody else's. */
PD_MUST_CHECK int pd_archive_claim_epochs(struct pd_archive_round *round, const struct pd_log_raw *raw,
					  struct pd_error *err);
/* Should it go on? For whoever is asked. */
bool pd_archive_go_on(void *round);

#endif
