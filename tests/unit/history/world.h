/* A life of an engine on a simulated machine, with a few actors, and what it was after each record: for tests that look back. */
#ifndef PD_TESTS_UNIT_HISTORY_WORLD_H
#define PD_TESTS_UNIT_HISTORY_WORLD_H

#include "../engine/host.h"
#include "base/hash.h"
#include "history/source.h"

#define WORLD_ACTORS  4
#define WORLD_RECORDS 8192

struct world_record {
	bool there; /* it was written, and no crash took it */
	bool known; /* nothing else happened in the same step: the rest is right */
	bool epoch; /* an epoch's own */
	bool touches[WORLD_ACTORS];
	uint64_t epoch_number, time_us;
	struct pd_hash128 hashes[WORLD_ACTORS]; /* with `hashing` */
};

struct world {
	struct host host;
	uint64_t random;
	bool hashing, expiring;
	uint64_t ids[WORLD_ACTORS];                 /* 0: not made yet */
	struct world_record records[WORLD_RECORDS]; /* by LSN */
	uint64_t last_lsn;
	uint64_t lost_epoch, lost_lsn; /* of a record that a crash took; 0: none was */
};

void world_init(struct world *world, uint64_t seed);
void world_done(struct world *world);
uint64_t world_random(struct world *world, uint64_t below);
const char *world_actor(unsigned actor); /* "a0" … */
/* Open, and note what that wrote. */
void world_open(struct world *world);
/* One random transaction. */
void world_act(struct world *world);
/* Stop in any way, and open again. */
void world_restart(struct world *world);
/* Have everything on stable storage. */
void world_settle(struct world *world);
void world_checkpoint(struct world *world);
void world_idle(struct world *world, unsigned rounds);
/* Open the history of what lies there. */
struct pd_history *world_history(struct world *world);

#endif
