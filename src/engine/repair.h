/* Healing a data directory that nobody serves: for `perdure log repair`.
 *
 *   1. what of the log can be put right is put right (log/repair.h), with the help of a copy if there is one. If doubts are left, it ends
 *      here: what comes after gives up for good what may still be put right. engine.accept_damage goes on
 *   2. the directory is opened as a server opens it: whoever lost something is quarantined, and that is noted in the state
 *   3. where somebody is quarantined for records that can be read again, the state is made again from before they were lost
 *   4. if damage is left in the log, a checkpoint is made of the state, and the segments up to the damaged ones, which nobody needs
 *      any more, are set aside: later openings meet no damage
 *
 * Nothing is deleted: what is replaced or not needed any more goes to <data>/set-aside. After a crash at any moment the
 * directory can be opened, and the same call goes on. */
#ifndef PD_ENGINE_REPAIR_H
#define PD_ENGINE_REPAIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "engine/engine.h"
#include "log/repair.h"
#include "log/verify.h"

#define PD_SET_ASIDE "set-aside" /* in a data directory */

struct pd_repair_options {
	struct pd_engine_options
		engine;      /* as a server would open it; with accept_damage, whatever was lost */
	const char *from;    /* a copy: of the data directory, or of its log's segments alone; NULL: none */
	const char *release; /* "[tenant/]actor" to be served without what it lost; NULL: none */
	bool flipped_bits;   /* take what looks like one for one (log/repair.h) */
	bool only_plan;
};

/* Damage that cannot be healed. */
struct pd_repair_left {
	struct pd_log_sight sight; /* its damage.actors are its own */
	uint64_t *actors;
	bool settled; /* the state is beyond it, and nobody is quarantined for it */
};

struct pd_repair_actor {
	char name[2 * PD_NAME_SIZE_MAX + 2]; /* "[tenant/]actor" */
	uint64_t id;
	uint64_t lost_first_lsn, lost_last_lsn; /* last 0: nobody knows up to where */
	bool healed;                            /* all of that is there again, and it is served */
	bool released;                          /* it is served without that */
};

struct pd_repair {
	struct pd_log_repair log;
	bool manifest_made; /* from what the log says */
	struct pd_repair_left *left;
	size_t left_count, left_capacity;
	struct pd_repair_actor *actors; /* that were quarantined, or are */
	size_t actor_count, actor_capacity;
	uint64_t checkpoint_lsn; /* made before segments were set aside; 0: none was needed */
	bool state_made_again;   /* from before the loss */
	char state_text[300];    /* why somebody stays quarantined though the records are there; else "" */
	uint64_t damage_after;   /* places in the log, as the verifier counts them */
	bool opened;             /* step 2 was reached */
	size_t undecided;        /* doubts that it ended at */
};

void pd_repair_init(struct pd_repair *repair);
void pd_repair_done(struct pd_repair *repair);
/* `repair` tells what was done, also after an error. PD_BUSY: somebody has it open, the text names the process.
 * PD_CORRUPT: it cannot be opened as it is now, the text says why and what to do. What opening an engine fails with. */
PD_MUST_CHECK int pd_repair_run(const struct pd_repair_options *options, struct pd_repair *repair,
				struct pd_error *err);

#endif
