/* A seed: which machine, which tastes, how many lives. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "world.h"

#define REPLY_BYTES_MAX ((size_t)64 * 1024 * 1024)

/* ---- words ---- */

bool world_fail(struct world *world, const char *format, ...)
{
	va_list arguments;

	if (world->failed)
		return false;
	world->failed = true;
	va_start(arguments, format);
	(void)vsnprintf(world->failure, sizeof world->failure, format, arguments);
	va_end(arguments);
	for (char *c = world->failure; *c != '\0'; c++)
		if ((unsigned char)*c < ' ' || (unsigned char)*c > '~')
			*c = '.';
	return false;
}

void world_say(const struct world *world, const char *format, ...)
{
	va_list arguments;

	if (!world->verbose)
		return;
	va_start(arguments, format);
	(void)vprintf(format, arguments);
	va_end(arguments);
	(void)putchar('\n');
}

void world_trace(struct world *world, uint64_t number)
{
	struct chance mix = { .state = world->trace ^ number };

	world->trace = chance_next(&mix);
}

/* ---- choices ---- */

/* Small memtables and short windows, so that much moves with little data. */
static void choose_state(struct chance *chance, struct pd_engine_options *options)
{
	if (chance_one_in(chance, 6)) {
		options->levels = PD_LEVELS_NONE;
		return;
	}
	options->memory_budget_bytes = (uint64_t)256 << 20;
	options->memtable_bytes = (size_t)512 << chance_below(chance, 10);
	options->range_points_max = (unsigned)chance_below(chance, 4);
	options->range_count_max = options->range_points_max;
	options->compaction_trigger = (unsigned)chance_below(chance, 5);
	/* For some, files are at rest as soon as they are there. */
	options->rest_us = options->compaction_trigger % 2 == 0 ? 1 : 0;
	options->retention_s = chance_one_in(chance, 2) ? 0 : 1 + chance_below(chance, 600);
	options->retention_bytes = chance_one_in(chance, 2)
					   ? 0
					   : options->segment_bytes * chance_below(chance, 20);
	options->checkpoint_log_bytes = options->segment_bytes * (1 + chance_below(chance, 4));
}

static void choose_machine(struct world *world)
{
	static const unsigned alignments[] = { 512, 512, 4096, 0 };
	static const unsigned depths[] = { 0, 1, 1, 4, 8 };
	static const unsigned plagues[] = { PLAGUE_NONE,   PLAGUE_NONE, PLAGUE_NONE, PLAGUE_NONE, PLAGUE_NONE,
					    PLAGUE_ERRORS, PLAGUE_FULL, PLAGUE_ROT,  PLAGUE_DRIVE };
	struct chance *chance = &world->chance;
	struct pd_engine_options *options = &world->options;
	struct pd_sim_options *machine = &world->machine;

	world->plague = (enum plague)plagues[chance_below(chance, 9)];
	if (world->wanted_plague != PLAGUE_ANY)
		world->plague = world->wanted_plague;
	*machine = (struct pd_sim_options)PD_SIM_OPTIONS_DEFAULT;
	machine->seed = world->seed;
	machine->direct_alignment = alignments[chance_below(chance, 4)];
	machine->torn_unit = chance_one_in(chance, 3) ? 4096 : 512;
	machine->queue_supported = !chance_one_in(chance, 4);
	machine->late_tasks = chance_one_in(chance, 2);
	machine->lying_sync = world->lies.sync;
	machine->lying_directory_sync = world->lies.directory;
	if (world->lies.drive) {
		world->plague = PLAGUE_NONE;
		machine->lost_write_ppm = 20000;
	}
	*options = (struct pd_engine_options)PD_ENGINE_OPTIONS_DEFAULT;
	options->data_directory = "data";
	options->segment_bytes = 64 * 1024;
	if (chance_one_in(chance, 8))
		options->segment_bytes = 4096 * (16 + (unsigned)chance_below(chance, 241));
	options->queue_depth = depths[chance_below(chance, 5)];
	options->refuse_direct = chance_one_in(chance, 6);
	options->random_seed = world->seed | 1;
	options->sync_interval_ms = chance_one_in(chance, 2) ? 100 : 1 + (unsigned)chance_below(chance, 1000);
	if (chance_one_in(chance, 3))
		options->idempotency_keep_s = 1 + chance_below(chance, 60);
	if (chance_one_in(chance, 3))
		options->default_level = (enum pd_level)(PD_LEVEL_NONE + (int)chance_below(chance, 4));
	options->levels = PD_LEVELS_PLAIN;
	/* Chunks of few bytes, so that blobs are everywhere; not so few that the largest values are nothing but keys. */
	if (chance_one_in(chance, 2)) {
		options->chunk_size = chance_spread(chance, 2000) + 16;
		options->large_min = 1 + chance_below(chance, 4 * options->chunk_size);
	}
	choose_state(chance, options);
	if (chance_one_in(&world->view_chance, 3))
		options->view_bytes = chance_spread(&world->view_chance, 1 << 20);
	if (chance_one_in(&world->view_chance, 3))
		options->view_age_s = chance_spread(&world->view_chance, 600);
	if (world->plague == PLAGUE_FULL)
		machine->disk_bytes = (uint64_t)options->segment_bytes * (3 + chance_below(chance, 8));
}

static void choose_taste(struct world *world)
{
	struct chance *chance = &world->chance;

	world->taste = (struct taste){ .transaction_percent = 20,
				       .idempotent_percent = 8,
				       .precondition_percent = 5,
				       .large_percent = 0,
				       .level_percent = (unsigned)chance_below(chance, 101),
				       .value_max = 20000,
				       .flush_one_in = 60 };
	if (chance_one_in(chance, 4)) {
		world->taste.large_percent = 1 + (unsigned)chance_below(chance, 10);
		world->taste.value_max = chance_one_in(chance, 4) ? 200000 : 20000;
	}
	if (chance_one_in(chance, 3))
		world->taste.idempotent_percent = 30;
	if (chance_one_in(chance, 4))
		world->taste.transaction_percent = (unsigned)chance_below(chance, 101);
}

/* ---- lives ---- */

static bool live(struct world *world, bool last)
{
	struct chance *chance = &world->chance;
	unsigned count = chance_one_in(chance, 8) ? 0 : (unsigned)chance_spread(chance, 500);

	if (!life_open(world))
		return !world->failed;
	if (last && !world->sick)
		return life_close(world);
	if (chance_one_in(chance, 2))
		pd_sim_crash_at(world->os, chance_spread(chance, 200));
	if (!work(world, count))
		return false;
	if (world_dead(world) || world->sick || !chance_one_in(chance, 3))
		life_kill(world, chance_percent(chance, 60));
	else
		return life_close(world);
	return true;
}

static bool run(struct world *world)
{
	unsigned lives = 2 + (unsigned)chance_below(&world->chance, 5);
	struct pd_error err;

	choose_machine(world);
	choose_taste(world);
	world->quotas = chance_one_in(&world->side_chance, 3);
	world->lone = true;
	world->oracle.default_level = world->options.default_level;
	world->oracle.idempotency_keep_us = world->options.idempotency_keep_s * 1000000;
	if (pd_os_sim_new(&world->machine, &world->os, &err) != 0)
		return world_fail(world, "no machine: %s", err.text);
	world_say(world,
		  "segments of %u bytes, queue depth %u, alignment %u, torn unit %u, plague %d, lives %u",
		  world->options.segment_bytes, world->options.queue_depth, world->machine.direct_alignment,
		  world->machine.torn_unit, (int)world->plague, lives);
	for (unsigned life = 0; life < lives && !world->over; life++)
		if (!live(world, life + 1 == lives))
			break;
	world_finish(world);
	return !world->failed;
}

void world_let_go(struct world *world)
{
	if (world->engine == NULL)
		return;
	work_end(world);
	pd_sim_crash_at(world->os, 1);
	(void)pd_engine_close(world->engine, NULL);
	world->engine = NULL;
}

void world_finish(struct world *world)
{
	if (world->os == NULL)
		return;
	world_let_go(world);
	world_trace(world, pd_sim_trace_hash(world->os));
	if (world->verbose) {
		pd_sim_process_crash(world->os);
		world_dump(world);
	}
	pd_os_free(world->os);
	world->os = NULL;
}

void world_reset(struct world *world, uint64_t seed)
{
	struct world fresh = { .seed = seed,
			       .verbose = world->verbose,
			       .lies = world->lies,
			       .wanted_plague = world->wanted_plague,
			       .vocabulary = world->vocabulary,
			       .totals = world->totals,
			       .chance = { .state = seed * 0x9e3779b97f4a7c15U },
			       .view_chance = { .state = ~(seed * 0x9e3779b97f4a7c15U) },
			       .side_chance = { .state = seed * 0xbf58476d1ce4e5b9U + 1 },
			       .arena = world->arena,
			       .oracle = world->oracle,
			       .expected = world->expected,
			       .actual = world->actual,
			       .held = world->held,
			       .held_capacity = world->held_capacity,
			       .weak = world->weak,
			       .weak_capacity = world->weak_capacity };

	*world = fresh;
	arena_clear(&world->arena);
	oracle_init(&world->oracle, &world->arena);
	world->totals->seeds++;
}

bool world_run(struct world *world, uint64_t seed)
{
	world_reset(world, seed);
	return run(world);
}

void world_init(struct world *world, const struct vocabulary *vocabulary, struct totals *totals)
{
	*world = (struct world){ .vocabulary = vocabulary, .totals = totals };
	reply_init(&world->expected);
	pd_buffer_init(&world->actual, REPLY_BYTES_MAX);
}

void world_done(struct world *world)
{
	oracle_done(&world->oracle);
	reply_done(&world->expected);
	pd_buffer_done(&world->actual);
	free(world->held);
	free(world->weak);
	arena_done(&world->arena);
}
