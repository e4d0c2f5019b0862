/* Everything that can become of one scenario: where it is crashed, what the crash leaves, and where the recovery from that is crashed. */
#ifndef PD_TESTS_SIM_EXPLORE_H
#define PD_TESTS_SIM_EXPLORE_H

#include "jobs.h"
#include "script.h"
#include "snapshot.h"

/* ---- ways in which a crash leaves the disk ---- */

enum {
	WAY_NOTHING, /* a power cut that leaves only what was stable */
	WAY_PROCESS, /* killed: all that was written is there */
	WAY_ALL,
	WAY_LAST,                /* all bytes, but of the names only the change that was made last */
	WAY_NAMED,               /* so many have names */
	WAY_CHANCE = 1u << 16,   /* and numbers after it: by that chance */
	WAY_NUMBER = 1u << 24,   /* and after it: as that number says, PD_SIM_SURVIVES_BY_NUMBER */
	WAY_NUMBERS_MAX = 65536, /* of the last two */
};
#define WAY_TEXT 24
void way_print(unsigned way, char text[WAY_TEXT]);
bool way_parse(const char *text, unsigned *ret_way);

/* What becomes of a disk operation that does not end the process. */
struct trouble {
	const char *name;
	int errnum;
	bool for_good;
};
extern const struct trouble troubles[];
#define TROUBLES 5 /* 0 is none */

/* ---- runs ---- */

#define CRASHES_MAX 4 /* one, and those of the recoveries after it */

struct run {
	size_t script;
	unsigned variant;
	unsigned count; /* of crashes */
	struct {
		uint64_t
			at; /* which disk operation, counted from the start of the life; beyond the last: at the end */
		unsigned way;
	} crashes[CRASHES_MAX];
	unsigned
		trouble; /* the operation of the first crash fails, and the crash comes when all is done; of troubles[] */
};

/* Of all processes. */
struct tally {
	uint64_t variants, alike, runs, states, images, failed;
};
#define SCRIPTS_MAX 128
struct shared {
	struct seen images, states, shapes;
	struct tally total, scripts[SCRIPTS_MAX];
	uint64_t crashes, reported, full, next;
	bool stop;
	struct run current[JOBS_MAX]; /* for whoever finds that one of the processes is gone */
};

struct explore_options {
	unsigned chances;  /* tried, where not all that can be left is */
	unsigned numbers;  /* all that can be left is tried where it is no more than this */
	unsigned depth;    /* crashes in one run; 0: nothing is disturbed at all */
	unsigned variants; /* of each scenario */
	bool sparse; /* one trouble for each operation, in turn, and a crash at one of so many operations of a recovery */
	bool until_failure, quiet;
	const char *lie;
};

struct exploration {
	const struct explore_options *options;
	struct shared *shared;
	struct world *world;
	unsigned job;
	struct script script; /* the variant at hand */
	struct run run;
	struct pd_os *scratch;
	struct level *levels;
};
void exploration_init(struct exploration *x, const struct explore_options *options, struct shared *shared,
		      struct world *world, unsigned job);
void exploration_done(struct exploration *x);
/* All runs of a variant. */
void explore(struct exploration *x, size_t script, unsigned variant);
/* One of them again. false: world->failure says why. */
bool explore_replay(struct exploration *x, const struct run *run);
/* The command that does so. */
void explore_print(const struct run *run, const char *lie);

#endif
