#include "snapshot.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Noreturn void out_of_memory(void)
{
	(void)fprintf(stderr, "sim: out of memory\n");
	exit(2);
}

void snapshot_done(struct snapshot *snapshot)
{
	if (snapshot->os != NULL)
		pd_os_free(snapshot->os);
	free(snapshot->journal);
	*snapshot = (struct snapshot){ 0 };
}

void snapshot_take(struct snapshot *snapshot, const struct world *world)
{
	size_t count = world->oracle.journal_count;

	if (snapshot->os == NULL && pd_os_sim_new(&world->machine, &snapshot->os, NULL) != 0)
		out_of_memory();
	if (pd_sim_copy(snapshot->os, world->os) != 0)
		out_of_memory();
	snapshot->world = *world;
	if (count > snapshot->journal_capacity) {
		free(snapshot->journal);
		snapshot->journal_capacity = 2 * count;
		snapshot->journal = malloc(snapshot->journal_capacity * sizeof *snapshot->journal);
		if (snapshot->journal == NULL)
			out_of_memory();
	}
	if (count > 0)
		memcpy(snapshot->journal, world->oracle.journal, count * sizeof *snapshot->journal);
}

void snapshot_restore(const struct snapshot *snapshot, struct world *world)
{
	struct world now;

	world_let_go(world);
	now = *world;
	if (pd_sim_copy(world->os, snapshot->os) != 0)
		out_of_memory();
	*world = snapshot->world;
	/* What has grown since has room for what was there then. */
	world->arena = now.arena;
	arena_rewind(&world->arena, &snapshot->world.arena);
	world->oracle.journal = now.oracle.journal;
	world->oracle.journal_capacity = now.oracle.journal_capacity;
	if (world->oracle.journal_count > 0)
		memcpy(world->oracle.journal, snapshot->journal,
		       world->oracle.journal_count * sizeof *snapshot->journal);
	world->expected = now.expected;
	world->actual = now.actual;
	world->held = now.held;
	world->held_capacity = now.held_capacity;
	world->weak = now.weak;
	world->weak_capacity = now.weak_capacity;
}
