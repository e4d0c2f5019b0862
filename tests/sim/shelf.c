/* Checkpoints as whoever needs one finds them: each is whole, the log goes on where the oldest ends, and the window that was
 * asked for is kept. And the need: the state is lost, and comes back from what there is. */
#include <inttypes.h>
#include <string.h>

#include "engine/manifest.h"
#include "log/verify.h"
#include "store/checkpoint.h"
#include "world.h"

#define SHELF "data/store/0000"
#define LOG   "data/log/0000"

/* ---- what is there after a start ---- */

static bool check_shelf(struct world *world, const struct pd_checkpoints *shelf, uint64_t first_lsn)
{
	struct pd_error err = { 0 };

	if (shelf->wreck_count > 0)
		return world_fail(world, "a checkpoint is a wreck: %s", shelf->wrecks[0].why.text);
	if (first_lsn > 1 && (shelf->count == 0 || shelf->items[0]->position.lsn < first_lsn))
		return world_fail(world,
				  "the log begins with LSN %" PRIu64
				  ", and the oldest checkpoint is of LSN %" PRIu64,
				  first_lsn, shelf->count > 0 ? shelf->items[0]->position.lsn : 0);
	for (size_t i = 0; i < shelf->count; i++)
		if (pd_checkpoint_verify(world->os, shelf->items[i], NULL, NULL, &err) != 0)
			return world_fail(world, "a checkpoint is no good: %s", err.text);
	return true;
}

/* What the log keeps it keeps without a hole: who looks back reads all of it. */
bool shelf_check_log(struct world *world)
{
	struct pd_log_options options = { .os = world->os, .directory = LOG };
	struct pd_log_verifier *verifier = NULL;
	struct pd_log_sight sight;
	struct pd_engine_stats stats;
	struct pd_manifest manifest;
	struct pd_error err = { 0 };
	int result = pd_manifest_read(world->os, "data", &manifest, &err);

	if (result != 0)
		return world_fail(world, "no manifest: %s", err.text);
	memcpy(options.cluster_id, manifest.cluster_id, sizeof options.cluster_id);
	pd_engine_stats(world->engine, &stats);
	options.trimmed_lsn = stats.log_first_lsn;
	result = pd_log_verifier_new(&options, &verifier, &err);
	while (result == 0) {
		result = pd_log_verifier_next(verifier, &sight, &err);
		if (result == 0 && sight.kind == PD_SIGHT_DAMAGE) {
			(void)world_fail(world,
					 "the log lacks something, LSN %" PRIu64 " to %" PRIu64
					 " in segment %u: %s",
					 sight.damage.first_lsn, sight.damage.last_lsn, sight.segment,
					 sight.damage.text);
			break;
		}
	}
	pd_log_verifier_free(verifier);
	return result == PD_END || world_fail(world, "the log cannot be verified: %s", err.text);
}

bool shelf_check(struct world *world)
{
	struct pd_checkpoints_options options = { .os = world->os, .directory = SHELF, .only_look = true };
	struct pd_checkpoints *shelf;
	struct pd_engine_stats stats;
	struct pd_manifest manifest;
	struct pd_error err = { 0 };
	bool good;

	if (world->plagued || world->options.levels == PD_LEVELS_NONE ||
	    !chance_one_in(&world->side_chance, 3))
		return true;
	if (pd_manifest_read(world->os, "data", &manifest, &err) != 0)
		return world_fail(world, "no manifest: %s", err.text);
	memcpy(options.cluster_id, manifest.cluster_id, sizeof options.cluster_id);
	if (pd_checkpoints_open(&options, &shelf, &err) != 0)
		return world_fail(world, "no list of checkpoints: %s", err.text);
	pd_engine_stats(world->engine, &stats);
	good = check_shelf(world, shelf, stats.log_first_lsn) && shelf_check_log(world);
	pd_checkpoints_free(shelf);
	return good;
}

/* ---- what trimming and removing leave ---- */

bool shelf_check_window(struct world *world, const struct pd_engine_stats *stats, bool trimmed)
{
	uint64_t window_us = world->options.retention_s * 1000000;
	uint64_t window_bytes = world->options.retention_bytes;
	uint64_t age_us = stats->time_us - stats->oldest_us;

	if (world->plagued || stats->log_first_lsn <= 1)
		return true;
	if (stats->checkpoints_kept == 0 || stats->oldest_lsn < stats->log_first_lsn)
		return world_fail(world,
				  "the log begins with LSN %" PRIu64
				  ", and the oldest checkpoint is of LSN %" PRIu64,
				  stats->log_first_lsn, stats->checkpoints_kept > 0 ? stats->oldest_lsn : 0);
	if ((window_us == 0 && window_bytes == 0) || (window_us > 0 && age_us >= window_us))
		return true;
	/* How much log comes after it is known when nothing in front of it is left. */
	if (window_bytes > 0 && (!trimmed || stats->log_bytes >= window_bytes))
		return true;
	return world_fail(world,
			  "the log begins with LSN %" PRIu64 ", and the oldest checkpoint is %" PRIu64
			  " us old, with at most %" PRIu64
			  " bytes of log after it: the retention window is not kept",
			  stats->log_first_lsn, age_us, stats->log_bytes);
}

/* ---- the need ---- */

/* Nobody can read the state any more. The log and the checkpoints are whole, but for what else has befallen them. */
void shelf_lose_state(struct world *world)
{
	static const uint8_t zeros[8] = { 0 };

	if (world->options.levels == PD_LEVELS_NONE || world->epoch == 0 || world->state_lost ||
	    !chance_one_in(&world->side_chance, 8))
		return;
	if (pd_sim_damage(world->os, SHELF "/live/MANIFEST", 0, zeros, sizeof zeros) != 0)
		return;
	world_say(world, "the state is lost");
	world->state_lost = true;
}
