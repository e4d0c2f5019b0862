/* Upkeep: long work on what is stored, beside the serving, and what takes how much memory.
 *
 * One job at a time: started, then looked at until it is over. Its result stays until the next one is started. */
#ifndef PD_ENGINE_UPKEEP_H
#define PD_ENGINE_UPKEEP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct pd_engine;

enum pd_upkeep_kind {
	PD_UPKEEP_NONE,          /* nothing has been started yet */
	PD_UPKEEP_CHECKPOINT,    /* put a copy of the state at this moment beside it */
	PD_UPKEEP_COMPACT_STORE, /* rewrite the levels, so that what is dead goes */
	PD_UPKEEP_COMPACT_LOG,   /* checkpoint, then drop what of the log retention does not ask for */
	PD_UPKEEP_VERIFY_STORE,  /* read everything that is stored and check every checksum */
};

struct pd_upkeep_status {
	enum pd_upkeep_kind kind;
	bool running;
	uint64_t done, total;          /* bytes; total 0: not known */
	uint64_t started_us, ended_us; /* since 1970; a start's time tells it from another's */
	int result;                    /* when it is over: 0 or a negative code */
	char text[500];                /* what it did, or why it failed, in words */
	uint64_t damage_count; /* places that this verification found damaged; other work looks for none */
	uint64_t work_us;      /* of a checkpoint that is over: what its thread took */
	uint64_t read_bytes;   /* and what it had to read for it */
};

/* Start long work beside the serving. PD_BUSY: another runs; PD_NOT_SUPPORTED: in memory only; PD_AGAIN: recovery is not
 * over; PD_CORRUPT: no checkpoint is made of a state that damage was met in. Thread: the engine's. */
PD_MUST_CHECK int pd_engine_upkeep_start(struct pd_engine *engine, enum pd_upkeep_kind kind,
					 struct pd_error *err);
/* At any time after the engine was opened. */
void pd_engine_upkeep_status(const struct pd_engine *engine, struct pd_upkeep_status *ret_status);
/* The nth (from 0) damaged place, in words, where the status is that of a verification; NULL: no more. Not all of many are kept. */
const char *pd_engine_upkeep_damage(const struct pd_engine *engine, size_t n);

/* ---- figures of what is stored ---- */
#define PD_STORE_FIGURES_MAX 32
struct pd_store_figure {
	const char *name; /* as INFO and PD.STORE STATS show it: lower case, units last */
	uint64_t value;
};
/* Returns how many. */
size_t pd_engine_store_figures(const struct pd_engine *engine,
			       struct pd_store_figure figures[PD_STORE_FIGURES_MAX]);

/* ---- memory ---- */
#define PD_MEMORY_PARTS_MAX 16
struct pd_memory_part {
	const char *name;
	uint64_t bytes;
	uint64_t limit; /* 0: none of its own */
};

struct pd_memory_report {
	struct pd_memory_part parts[PD_MEMORY_PARTS_MAX];
	size_t count;
	uint64_t budget;   /* 0: none was given */
	uint64_t used;     /* of all parts */
	uint64_t resident; /* of the process; 0: not known */
};

/* At any time after the engine was opened. */
void pd_engine_memory(const struct pd_engine *engine, struct pd_memory_report *ret_report);
/* What others in the process (connections, replies) hold, for the report and the budget. `part` outlives the engine. */
void pd_engine_note_memory(struct pd_engine *engine, const char *part, uint64_t bytes);

#endif
