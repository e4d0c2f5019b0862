/* A shard's levels and their checkpoints, on a simulated machine or the real one. The state at LSN 10 * n is what n batches make,
 * so that whatever is found can be told right from wrong by its LSN. */
#ifndef PD_TESTS_CHECKPOINT_DISK_H
#define PD_TESTS_CHECKPOINT_DISK_H

#include "os/os.h"
#include "os/sim.h"
#include "store/checkpoint.h"

struct checkpoint_disk {
	struct pd_sim_options sim;
	bool simulated;
	struct pd_os *os;
	enum pd_levels_kind kind;
	char *root; /* of the shelf */
	char *live;
	struct pd_levels *levels;
	struct pd_checkpoints *shelf;
	unsigned batches;             /* in `levels` */
	const struct pd_ahead *ahead; /* that checkpoints ask; NULL: none */
};

/* An empty directory, levels with nothing in them, an empty shelf. */
void cd_init_sim(struct checkpoint_disk *disk, uint64_t seed);
void cd_init_real(struct checkpoint_disk *disk, enum pd_levels_kind kind);
void cd_done(struct checkpoint_disk *disk);

/* Close and open what is there; without live levels `levels` is NULL. */
void cd_close(struct checkpoint_disk *disk);
void cd_open(struct checkpoint_disk *disk);
/* The process ends in the middle of its life; with or without the machine. Nothing is open. */
void cd_die(struct checkpoint_disk *disk, bool power);

void cd_commit(struct checkpoint_disk *disk, unsigned batches);
/* Plan, create, settle. */
int cd_try_create(struct checkpoint_disk *disk, struct pd_error *err);
struct pd_checkpoint *cd_create(struct checkpoint_disk *disk);
/* Close the levels, install, open them again. */
void cd_install(struct checkpoint_disk *disk, const struct pd_checkpoint *checkpoint);

/* The levels are the state that their LSN says. */
void cd_expect_state(struct checkpoint_disk *disk);
/* The shelf has these checkpoints, each whole, and no wreck. Ends with 0. */
void cd_expect_shelf(struct checkpoint_disk *disk, const uint64_t *lsns);
/* Nothing is there but checkpoints and live levels, or, without these, what was to be replaced. */
void cd_expect_tidy(struct checkpoint_disk *disk);

#endif
