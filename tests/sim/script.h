/* Short scenarios for exhaustive exploration: what is done, one act after the other, the same in every run. */
#ifndef PD_TESTS_SIM_SCRIPT_H
#define PD_TESTS_SIM_SCRIPT_H

#include "vary.h"
#include "world.h"

#define SCRIPT_SEGMENT (64u * 1024)

enum act_kind {
	ACT_END,
	/* What writes, `size` bytes where there is a value. */
	ACT_PUT,         /* SET a key */
	ACT_HASH,        /* HSET a field */
	ACT_APPEND,      /* to the key that was set first */
	ACT_LARGE,       /* SET of a value that arrives in pieces */
	ACT_TRANSACTION, /* MULTI over two actors */
	ACT_ONCE,        /* APPEND under an idempotency key; again, and it must not count twice */
	ACT_EXPIRE,      /* SET a key that expires in `size` milliseconds */
	ACT_DELETE,      /* DEL the key that was set first */
	ACT_RELATE, /* the client's actor and the one behind it: to that, of the first kind, if `size` is even, else from it, of the second */
	ACT_UNRELATE,
	ACT_CLEAR, /* FLUSHDB of an actor */
	ACT_WRITES_END,
	/* What else clients do. */
	ACT_DROP,              /* the client's actor */
	ACT_FORK,              /* another of it, as it is now */
	ACT_CARRY,             /* the same, by way of a file */
	ACT_UNDROP,            /* the one that was dropped last */
	ACT_MARK,              /* this moment, to which … */
	ACT_RESTORE,           /* … the client's actor is restored */
	ACT_RESTORE_RELATIONS, /* … what it was related to is restored, and nothing else of it */
	ACT_SNAPSHOT,          /* of the client's actor, as it is now */
	ACT_REWIND,            /* the client's actor is restored to that */
	ACT_UNSNAPSHOT,        /* and it goes */
	ACT_ACQUIRE,           /* the actor, for `size` milliseconds, and write with that epoch */
	ACT_RENEW,
	ACT_RELEASE,
	ACT_PROFILE,  /* the actor's default level is `level`; of its tenant, with a size */
	ACT_FOLLOW,   /* somebody looks at the past from here on … */
	ACT_UNFOLLOW, /* … until here, or the engine is closed */
	ACT_ARCHIVE,  /* the log, until all that there is is archived */
	ACT_BACK_UP,  /* a backup of the kind `size`, of enum pd_backup_kind */
	ACT_LET_GO,   /* backups but for the newest */
	ACT_STEP,
	ACT_SETTLE,     /* until every reply is shown */
	ACT_PASS,       /* `size` milliseconds */
	ACT_CHECKPOINT, /* the next four begin the work and let it end */
	ACT_TRIM,
	ACT_COMPACT,
	ACT_VERIFY,
	ACT_BEGIN_CHECKPOINT, /* the next three only begin it */
	ACT_BEGIN_TRIM,
	ACT_BEGIN_COMPACT,
	ACT_REOPEN, /* close, and open again */
	ACT_KILL,   /* the process ends as with kill -9, and is opened again */
	ACT_CUT,    /* the power fails, and it is opened again */
	ACT_FULL,   /* no more room on the disk */
	ACT_ROOM,   /* and room again */
};

struct act {
	enum act_kind kind;
	unsigned size;
	enum pd_level level; /* PD_LEVEL_UNSET: the default, strict */
};

#define ACTS_MAX 96

struct script {
	const char *name;
	void (*shape)(struct pd_engine_options *options, struct pd_sim_options *machine);
	struct act acts[ACTS_MAX];
	unsigned keeps; /* VARY_KEEPS_*: what no variant may change, or it would be another story */
	struct variant variant;
};

extern const struct script scripts[];
extern const size_t script_count;

/* The machine and the engine that it is written for, without what a variant changes. */
void script_shape(const struct script *script, struct pd_engine_options *options,
		  struct pd_sim_options *machine);
/* A machine for it, and an engine's options: script_open() comes next. */
bool script_begin(struct world *world, const struct script *script);
/* As life_open_at(), with the clients where scripts have them. */
int script_open(struct world *world, uint64_t dying_at);
/* Play the acts on an open engine until they end or the process dies. false: failed. */
bool script_play(struct world *world, const struct script *script);
/* What is there is of use: it takes a write, which is there after all else when it is closed and opened again. */
bool script_go_on(struct world *world);

#endif
