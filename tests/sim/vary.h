/* Variants of a scenario: the same story with other sizes, other steps between, other levels, clients, machines, engines or lives. Number 0
 * is the scenario as it is written; then come all in which one thing is other, then those in which two are. */
#ifndef PD_TESTS_SIM_VARY_H
#define PD_TESTS_SIM_VARY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pd_engine_options;
struct pd_sim_options;
struct script;

enum vary {
	VARY_SIZES,   /* where records end: in a sector, a block, a segment */
	VARY_STEPS,   /* what is in flight together */
	VARY_LEVELS,  /* of what is written without one */
	VARY_CLIENTS, /* who writes, and where to */
	VARY_MACHINE, /* what the drive writes as a whole, what goes past the page cache, what happens at once */
	VARY_ENGINE, /* what moves to the levels, and when */
	VARY_UPKEEP, /* begun in the middle */
	VARY_LIFE,   /* what was there before, and ends in the middle */
	VARY_COUNT,
};

struct variant {
	uint8_t choices[VARY_COUNT]; /* 0: as written */
};

/* What a scenario is about, and so no variant changes. */
#define VARY_KEEPS_MIDDLE  1u /* nothing may end in the middle: a moment is marked, an actor gone */
#define VARY_KEEPS_ONCE    2u /* it cannot be played twice */
#define VARY_KEEPS_PAST    4u /* what is made of the past: it needs the log, and values that one record takes */
#define VARY_KEEPS_CLIENTS 8u
#define VARY_KEEPS_STEPS   16u
#define VARY_KEEPS_ALL \
	32u /* it is played as it is written, and its recoveries are those of others: they are not crashed */

/* How many there are, the one that is as written included. */
unsigned vary_count(void);
/* Make the variant with that number; it has as many acts as fit. false: this scenario keeps what that one would change. */
bool vary_script(const struct script *script, unsigned number, struct script *ret_variant);
/* What is other, in words: "steps: none; machine: page cache". "as written" for 0. */
#define VARY_TEXT 120
void vary_print(const struct variant *variant, char text[VARY_TEXT]);
/* What of it concerns the machine and the engine. */
void vary_shape(const struct variant *variant, struct pd_engine_options *options,
		struct pd_sim_options *machine);
/* By which chance a machine orders what is in flight. */
uint64_t vary_schedule(const struct variant *variant);
/* Who writes the nth time, and to which key of its actor. */
struct vary_place {
	uint8_t client, key;
};
struct vary_place vary_place(const struct variant *variant, unsigned nth);

#endif
