/* An engine of the test's own behind the Redis door: it evaluates a handful of commands, and says "not yet" when it is told
 * to. Everything settles at once, or when the test says so. */
#ifndef PD_TESTS_UNIT_FRONT_FAKE_ENGINE_H
#define PD_TESTS_UNIT_FRONT_FAKE_ENGINE_H

#include "base/buffer.h"
#include "engine/blob.h"
#include "engine/engine.h"
#include "engine/upkeep.h"

#define FAKE_KEY_SIZE 64

struct pd_engine {
	/* ---- as the test sets it ---- */
	unsigned brakes;      /* so many writes are told to come again … */
	uint64_t retry_us;    /* … after so long */
	uint64_t settled_lsn; /* UINT64_MAX: everything settles at once */
	struct pd_upkeep_status upkeep;
	struct pd_engine_stats stats;
	const char *damage[4];
	struct pd_memory_report memory;
	int upkeep_result;         /* of a start */
	struct pd_event events[4]; /* to be fetched next */
	size_t event_count;
	bool events_lost;
	uint64_t large_min; /* arguments are staged from this size on; 0: none is */
	int stage_result;   /* of the next pieces, if it is an error */
	int read_result;    /* of pieces of a reply, if it is an error */

	/* ---- as the door has used it ---- */
	struct pd_buffer journal; /* what was evaluated: "set a 1;get a;" */
	unsigned asked;           /* calls of pd_engine_execute() */
	uint64_t lsn;
	char key[FAKE_KEY_SIZE]; /* the idempotency key of the last request */
	size_t preconditions;    /* of the last request */
	enum pd_upkeep_kind started;
	unsigned listening;
	uint64_t noted;           /* bytes of connections */
	unsigned readers, stages; /* that there are */
};

void fake_engine_init(struct pd_engine *engine);
void fake_engine_done(struct pd_engine *engine);
/* What was evaluated since the last call, as a C string valid until the next request. */
const char *fake_engine_journal(struct pd_engine *engine);

/* Its commands:  set key value -> OK     get key -> its name     big bytes -> so many x
 *     large bytes -> so many y, which the door reads as they are taken */

#endif
