/* Short scenarios for exhaustive exploration: what is done, one act after the other, the same in every run. */
#ifndef PD_TESTS_SIM_SCRIPT_H
#define PD_TESTS_SIM_SCRIPT_H

#include "world.h"

enum act_kind {
	ACT_END,
	ACT_PUT,         /* SET a key; `size` bytes */
	ACT_HASH,        /* HSET a field */
	ACT_DELETE,      /* DEL a key */
	ACT_EXPIRE,      /* SET a key that expires in `size` milliseconds */
	ACT_CLEAR,       /* FLUSHDB of an actor */
	ACT_TRANSACTION, /* MULTI over two actors; `size` bytes each */
	ACT_DROP,        /* the client's actor */
	ACT_FORK,        /* another of it, as it is now */
	ACT_UNDROP,      /* the one that was dropped last */
	ACT_MARK,        /* this moment, to which … */
	ACT_RESTORE,     /* … the client's actor is restored */
	ACT_SNAPSHOT,    /* of the client's actor, as it is now */
	ACT_REWIND,      /* the client's actor is restored to that */
	ACT_UNSNAPSHOT,  /* and it goes */
	ACT_ONCE,        /* APPEND under an idempotency key; again, and it must not count twice */
	ACT_STEP,
	ACT_SETTLE,     /* until every reply is shown */
	ACT_PASS,       /* `size` milliseconds */
	ACT_CHECKPOINT, /* the next four begin the work and let it end */
	ACT_TRIM,
	ACT_COMPACT,
	ACT_VERIFY,
	ACT_REOPEN, /* close, and open again */
	ACT_KILL,   /* the process ends as with kill -9, and is opened again */
	ACT_FULL,   /* no more room on the disk */
	ACT_ROOM,   /* and room again */
};

struct act {
	enum act_kind kind;
	unsigned size;
	enum pd_level level; /* PD_LEVEL_UNSET: the default, strict */
};

#define ACTS_MAX 24

struct script {
	const char *name;
	void (*shape)(struct pd_engine_options *options, struct pd_sim_options *machine);
	struct act acts[ACTS_MAX];
};

extern const struct script scripts[];
extern const size_t script_count;

/* A machine for it, and an engine's options: life_open_at() comes next. */
bool script_begin(struct world *world, const struct script *script);
/* Play the acts on an open engine until they end or the process dies. false: failed. */
bool script_play(struct world *world, const struct script *script);
/* What is there is of use: it takes a write, which is there after all else when it is closed and opened again. */
bool script_go_on(struct world *world);

#endif
