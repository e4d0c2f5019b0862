/* Upkeep and memory, as far as there is something to look after: so far the state is in memory alone. */
#include "engine/upkeep.h"

#include <string.h>

#include "engine/engine_private.h"

int pd_engine_upkeep_start(struct pd_engine *engine, enum pd_upkeep_kind kind, struct pd_error *err)
{
	(void)kind;
	if (engine->options.in_memory)
		return pd_error_set(err, PD_NOT_SUPPORTED,
				    "this server keeps everything in memory: there is nothing on disk to "
				    "look after");
	return pd_error_set(err, PD_NOT_SUPPORTED,
			    "this build keeps no state on disk beside its log: there is nothing to do");
}

void pd_engine_upkeep_status(const struct pd_engine *engine, struct pd_upkeep_status *ret_status)
{
	(void)engine;
	*ret_status = (struct pd_upkeep_status){ .kind = PD_UPKEEP_NONE };
}

const char *pd_engine_upkeep_damage(const struct pd_engine *engine, size_t n)
{
	(void)engine;
	(void)n;
	return NULL;
}

size_t pd_engine_store_figures(const struct pd_engine *engine,
			       struct pd_store_figure figures[PD_STORE_FIGURES_MAX])
{
	size_t count = 0;

	figures[count++] = (struct pd_store_figure){ "keys", pd_store_key_count(engine->store) };
	figures[count++] = (struct pd_store_figure){ "expiring_keys",
						     pd_store_expiring_count(engine->store) };
	figures[count++] = (struct pd_store_figure){ "actors", engine->directory.actor_count };
	figures[count++] = (struct pd_store_figure){ "tenants", engine->directory.tenant_count };
	figures[count++] = (struct pd_store_figure){ "memtable_bytes", pd_store_bytes(engine->store) };
	return count;
}

void pd_engine_memory(const struct pd_engine *engine, struct pd_memory_report *ret_report)
{
	*ret_report = (struct pd_memory_report){ .budget = engine->options.memory_budget_bytes,
						 .count = 1 + engine->noted_count,
						 .resident = pd_os_process_memory(engine->os) };
	ret_report->parts[0] = (struct pd_memory_part){ .name = "memtables",
							.bytes = pd_store_bytes(engine->store) };
	for (size_t i = 0; i < engine->noted_count; i++)
		ret_report->parts[1 + i] = engine->noted[i];
	for (size_t i = 0; i < ret_report->count; i++)
		ret_report->used += ret_report->parts[i].bytes;
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
