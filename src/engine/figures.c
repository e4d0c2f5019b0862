/* What there is, and what takes how much memory. */
#include <string.h>

#include "engine/engine_private.h"

static void collect(const struct pd_engine *engine, struct pd_store_stats *ret_stats)
{
	*ret_stats = (struct pd_store_stats){ 0 };
	if (engine->store != NULL)
		pd_store_stats(engine->store, true, ret_stats);
	pd_drafts_leave_out(engine, ret_stats);
	pd_snapshots_leave_out(engine, ret_stats);
}

size_t pd_engine_store_figures(const struct pd_engine *engine,
			       struct pd_store_figure figures[PD_STORE_FIGURES_MAX])
{
	struct pd_engine_stats all;
	struct pd_store_stats stats;
	size_t count = 0;

	pd_engine_stats(engine, &all);
	stats = all.store;
#define FIGURE(name, value) figures[count++] = (struct pd_store_figure){ name, value }
	FIGURE("keys", stats.keys);
	FIGURE("expiring_keys", stats.expiring_keys);
	FIGURE("data_bytes", stats.bytes);
	FIGURE("data_bytes_uncounted_actors", stats.uncounted);
	FIGURE("actors", pd_id_list_count(&engine->directory.actors));
	FIGURE("tenants", engine->directory.tenant_count);
	FIGURE("snapshots", all.snapshots);
	FIGURE("snapshot_bytes", all.snapshot_bytes);
	FIGURE("large_values_unfinished", pd_blobs_unfinished(engine));
	FIGURE("memtable_bytes", stats.active_bytes);
	FIGURE("frozen_memtables", stats.frozen);
	FIGURE("frozen_bytes", stats.frozen_bytes);
	FIGURE("views", stats.views);
	FIGURE("view_bytes", stats.view_bytes);
	FIGURE("views_given_up", stats.views_given_up);
	FIGURE("applied_lsn", stats.applied.lsn);
	FIGURE("flushes", stats.flushes);
	FIGURE("flushed_bytes", stats.flushed_bytes);
	FIGURE("flush_failures", stats.flush_failures);
	FIGURE("braked_writes", engine->stats.braked);
	FIGURE("levels_files", stats.levels.files);
	FIGURE("levels_bytes", stats.levels.bytes);
	FIGURE("levels_level0_files", stats.levels.level0_files);
	FIGURE("levels_pending_compaction_bytes", stats.levels.pending_compaction_bytes);
	FIGURE("levels_running_compactions", stats.levels.running_compactions);
	FIGURE("levels_verified_bytes", all.levels_verified_bytes);
	FIGURE("levels_verified_us", all.levels_verified_us);
	FIGURE("checkpoints_made", engine->stats.checkpoints);
	FIGURE("state_damage", engine->stats.state_damage[0] != '\0');
	FIGURE("checkpoints", engine->shelf != NULL ? engine->shelf->count : 0);
	FIGURE("log_first_lsn", engine->log->first_lsn);
	FIGURE("log_bytes", pd_log_bytes_since(engine->log, engine->log->first_lsn));
#undef FIGURE
	return count;
}

static void add(struct pd_memory_report *report, const char *name, uint64_t bytes, uint64_t limit)
{
	report->parts[report->count++] = (struct pd_memory_part){ .name = name,
								  .bytes = bytes,
								  .limit = limit };
	report->used += bytes;
}

void pd_engine_memory(const struct pd_engine *engine, struct pd_memory_report *ret_report)
{
	const struct pd_budget_plan *plan = &engine->budget.plan;
	struct pd_store_stats stats;

	collect(engine, &stats);
	*ret_report = (struct pd_memory_report){ .budget = plan->budget,
						 .resident = pd_os_process_memory(engine->os) };
	add(ret_report, "memtables", stats.active_bytes + stats.frozen_bytes, plan->memtables);
	add(ret_report, "views", stats.view_bytes, plan->views);
	add(ret_report, "cache", stats.levels.cache_bytes, engine->budget.cache);
	add(ret_report, "tables", stats.levels.memory_bytes, 0);
	add(ret_report, "names", stats.actor_bytes + pd_directory_bytes(&engine->directory), 0);
	add(ret_report, "log", engine->open != NULL ? engine->open->capacity : 0, plan->log);
	for (size_t i = 0; i < engine->noted_count; i++)
		add(ret_report, engine->noted[i].name, engine->noted[i].bytes, engine->noted[i].limit);
}

void pd_engine_note_memory(struct pd_engine *engine, const char *part, uint64_t bytes)
{
	size_t i = 0;

	while (i < engine->noted_count && strcmp(engine->noted[i].name, part) != 0)
		i++;
	if (i == PD_MEMORY_NOTED_MAX)
		return;
	engine->noted_count = i < engine->noted_count ? engine->noted_count : i + 1;
	engine->noted[i] = (struct pd_memory_part){ .name = part, .bytes = bytes };
}
