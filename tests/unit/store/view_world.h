/* Views of a world: each is kept with what was there when it was opened, which it must show for as long as it lives. */
#ifndef VIEW_WORLD_H
#define VIEW_WORLD_H

#include "store/view_private.h"
#include "store_world.h"

#define VIEW_EPOCH      3
#define VIEW_STEPS_MANY 400

/* A view, and what it must show. */
struct kept {
	struct pd_store_view *view;
	struct world_state state;
	uint64_t lsn;
};

/* Some transactions, and now and then the drop of an actor. */
void view_fill(struct world *world, unsigned transactions);

/* Steps until nothing waits for a flush. */
void view_step_until_done(struct world *world);

int view_open(struct world *world, struct pd_store_view **ret_view, struct pd_error *err);

/* Opens one of what is there now; view_let_go() closes it. */
struct kept *view_keep(struct world *world);
void view_let_go(struct kept *kept);

uint64_t view_actor(const struct kept *kept, unsigned actor);

/* Any thread, inside of the view: what it shows otherwise than it must, NULL: nothing. */
const char *view_problem(const struct kept *kept);

/* Any thread. 1: it shows what it must, or *ret_problem says what not; 0: it was given up. */
int view_look(const struct kept *kept, const char **ret_problem);

/* The test's thread: it is still there, and shows what it must. */
void view_check(const struct kept *kept);

#endif
