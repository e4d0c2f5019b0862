/* A store and what it must hold, side by side: random changes go to both, and everything that can be asked is compared.
 *
 * Keys are numbers whose bytes are in the order of the numbers, in the spaces 'f', 'k' (which is counted) and 'm'. */
#ifndef STORE_WORLD_H
#define STORE_WORLD_H

#include "fake_levels.h"
#include "store/store.h"

#define WORLD_KEYS   200
#define WORLD_ACTORS 4

struct world_entry {
	bool present;
	uint8_t type;
	uint64_t expires_us, lsn, seed;
	size_t value_size;
};

struct world_actor {
	struct world_entry entries[WORLD_KEYS];
	uint64_t last_delete_lsn, last_write_us;
	uint64_t id; /* another after each drop */
};

struct world_state {
	struct world_actor actors[WORLD_ACTORS];
};

enum world_kind {
	WORLD_PUT,
	WORLD_DELETE,
	WORLD_RANGE,
	WORLD_DROP,
};

/* A change. Bounds of a range: numbers, -1 stands for none. */
struct world_change {
	enum world_kind kind;
	unsigned actor;
	int key, to;
	struct world_entry entry;
	uint64_t lsn, id;
	bool nobodys; /* it happens by itself: no last write */
};

enum world_levels {
	WORLD_NONE,
	WORLD_FAKE,
	WORLD_PLAIN, /* on the simulated machine, which loses its power before a reopen */
	WORLD_PLAIN_REAL,
	WORLD_ROCKSDB,
};

struct world {
	enum world_levels levels;
	struct pd_os *os;
	struct fake_disk *disk; /* of WORLD_FAKE */
	char directory[256];    /* of the others */
	struct pd_store *store;
	struct world_state state;
	uint64_t random, lsn, frozen_lsn, last_id;
	struct world_change *log;
	size_t log_count, log_capacity;
	unsigned points_max, count_max;
	struct {
		bool on; /* somebody counts an actor's bytes anew, and these were what there was when that began: */
		uint64_t id, begun, bytes;
	} counting;
	bool lend;         /* some puts without a copy */
	bool fault_each;   /* memory can fail at every piece of an arena */
	unsigned failures; /* of memory, that were met */
};

uint64_t world_random(struct world *world);
unsigned world_below(struct world *world, unsigned limit);

/* So many lives, or eight times as many where PERDURE_THOROUGH is set. */
uint64_t world_seeds(uint64_t few);
void world_open(struct world *world, enum world_levels levels, uint64_t seed);
void world_close(struct world *world);
/* Close the store, open it again, and do once more what the levels have not. */
void world_reopen(struct world *world);
/* Only the store's open. The test is skipped where the build has no such levels. */
PD_MUST_CHECK int world_open_store(struct world *world);

struct pd_slice world_key(int number, uint8_t key[64]);
bool world_is_counted(int key);
/* Of keys and values. */
uint64_t world_bytes(const struct world_actor *actor);
/* For threads, where nothing can be asserted. */
bool world_entry_equal(const struct pd_entry *entry, int key, const struct world_entry *expected);
struct pd_store_actor *world_actor(const struct world *world, unsigned actor);

/* A change as chance has it. */
struct world_change world_pick(struct world *world);
/* Do it to the store, which must answer as the state says; only then, to the state. < 0: the store's error, and
 * nothing has changed. */
int world_change(struct world *world, const struct world_change *change);
/* A transaction of a few changes, committed or taken back. */
void world_transaction(struct world *world, bool with_failures);

/* A transaction that drops an actor, committed or taken back: then one of another id takes its place. */
void world_drop(struct world *world, bool with_failures);

void world_freeze(struct world *world);
/* Everything, to the last byte. */
void world_check(struct world *world);
void world_check_key(struct world *world, unsigned actor, int key);
void world_check_walk(struct world *world, unsigned actor, int from, int to);
/* Expire what is due, in the right order. */
void world_expire(struct world *world, uint64_t now_us, unsigned limit);

#endif
