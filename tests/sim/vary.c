#include "vary.h"

#include <stdio.h>
#include <string.h>

#include "script.h"

/* ---- choices ---- */

#define CHOICES_MAX 9

enum { SIZE_AS_WRITTEN, SIZE_ONE, SIZE_SECTOR, SIZE_BLOCK, SIZE_TRIPLE, SIZE_TURNS, SIZE_SEGMENT };
enum { STEPS_AS_WRITTEN, STEPS_NONE, STEPS_EACH, STEPS_SETTLED, STEPS_UNSETTLED };
enum { LEVELS_AS_WRITTEN, LEVELS_STANDARD, LEVELS_PERFORMANCE, LEVELS_NONE, LEVELS_TURNS, LEVELS_FULL };
enum { CLIENTS_AS_WRITTEN, CLIENTS_TWO, CLIENTS_FOUR, CLIENTS_ONE_KEY };
enum {
	MACHINE_AS_WRITTEN,
	MACHINE_QUEUE,
	MACHINE_CACHE,
	MACHINE_CACHE_BLOCKS,
	MACHINE_BLOCKS,
	MACHINE_LATE,
	MACHINE_DEEP_LATE,
};
enum { ENGINE_AS_WRITTEN, ENGINE_MOVES, ENGINE_CHUNKS, ENGINE_EAGER, ENGINE_KEEPS, ENGINE_RANGES };
enum { UPKEEP_AS_WRITTEN, UPKEEP_CHECKPOINT, UPKEEP_TRIM, UPKEEP_COMPACT };
enum {
	LIFE_AS_WRITTEN,
	LIFE_SECOND,
	LIFE_KILLED_BEFORE,
	LIFE_CUT_BEFORE,
	LIFE_TWICE,
	LIFE_CLOSED,
	LIFE_KILLED,
	LIFE_CUT,
};

static const struct {
	const char *name;
	const char *choices[CHOICES_MAX]; /* from 1 on; NULL: no more */
} kinds[VARY_COUNT] = {
	[VARY_SIZES] = { "sizes",
			 { NULL, "a byte", "a sector more", "blocks", "threefold", "small and large",
			   "segments" } },
	[VARY_STEPS] = { "steps",
			 { NULL, "none", "after each write", "each write settles", "nothing settles" } },
	[VARY_LEVELS] = { "levels",
			  { NULL, "standard", "performance", "none", "in turns", "full in the end" } },
	[VARY_CLIENTS] = { "clients", { NULL, "two", "four", "one key" } },
	[VARY_MACHINE] = { "machine",
			   { NULL, "a queue", "page cache", "page cache, blocks", "blocks", "late tasks",
			     "a deep queue and late tasks" } },
	[VARY_ENGINE] = { "engine", { NULL, "moves", "chunks", "eager", "keeps", "ranges" } },
	[VARY_UPKEEP] = { "begun", { NULL, "a checkpoint", "trimming", "compaction" } },
	[VARY_LIFE] = { "life",
			{ NULL, "a second", "killed before", "cut before", "twice", "closed", "killed",
			  "cut" } },
};

/* Choices other than the written one. */
static unsigned others(unsigned kind)
{
	unsigned count = 0;

	while (count + 1 < CHOICES_MAX && kinds[kind].choices[count + 1] != NULL)
		count++;
	return count;
}

static unsigned singles(void)
{
	unsigned count = 0;

	for (unsigned kind = 0; kind < VARY_COUNT; kind++)
		count += others(kind);
	return count;
}

static unsigned pairs(void)
{
	unsigned count = 0;

	for (unsigned one = 0; one < VARY_COUNT; one++)
		for (unsigned other = one + 1; other < VARY_COUNT; other++)
			count += others(one) * others(other);
	return count;
}

unsigned vary_count(void)
{
	return 1 + singles() + pairs();
}

static void choose_single(struct variant *variant, unsigned number)
{
	for (unsigned kind = 0; kind < VARY_COUNT; kind++) {
		if (number < others(kind)) {
			variant->choices[kind] = (uint8_t)(number + 1);
			return;
		}
		number -= others(kind);
	}
}

static void choose_pair(struct variant *variant, unsigned number)
{
	for (unsigned one = 0; one < VARY_COUNT; one++)
		for (unsigned other = one + 1; other < VARY_COUNT; other++) {
			unsigned count = others(one) * others(other);

			if (number < count) {
				variant->choices[one] = (uint8_t)(1 + number / others(other));
				variant->choices[other] = (uint8_t)(1 + number % others(other));
				return;
			}
			number -= count;
		}
}

/* A prime that is no factor of how many pairs there are: in steps of it, any beginning of the list has pairs of all kinds. */
#define PAIR_STRIDE 7919u

static void choose(struct variant *variant, unsigned number)
{
	*variant = (struct variant){ 0 };
	if (number == 0)
		return;
	if (number <= singles())
		choose_single(variant, number - 1);
	else
		choose_pair(variant, (number - 1 - singles()) * PAIR_STRIDE % pairs());
}

void vary_print(const struct variant *variant, char text[VARY_TEXT])
{
	size_t size = 0;

	(void)snprintf(text, VARY_TEXT, "as written");
	for (unsigned kind = 0; kind < VARY_COUNT; kind++)
		if (variant->choices[kind] > 0 && size < VARY_TEXT)
			size += (size_t)snprintf(text + size, VARY_TEXT - size, "%s%s: %s",
						 size > 0 ? "; " : "", kinds[kind].name,
						 kinds[kind].choices[variant->choices[kind]]);
}

/* ---- acts ---- */

struct acts {
	struct act *acts;
	unsigned count;
	bool full;
};

static void add(struct acts *acts, struct act act)
{
	/* The last one is the end. */
	if (acts->count + 1 < ACTS_MAX)
		acts->acts[acts->count++] = act;
	else
		acts->full = true;
}

static void add_kind(struct acts *acts, enum act_kind kind)
{
	add(acts, (struct act){ kind, 0, PD_LEVEL_UNSET });
}

static bool writes(const struct act *act)
{
	return act->kind > ACT_END && act->kind < ACT_WRITES_END;
}

static bool has_size(const struct act *act)
{
	return act->kind >= ACT_PUT && act->kind <= ACT_ONCE;
}

/* A group is whole sectors of 512 bytes, of which 8 are the stamp's, and begins with 64 bytes of its own. */
#define SECTOR_BYTES 504u
#define BLOCK_BYTES  (8 * SECTOR_BYTES)
#define GROUP_BYTES  160u /* its head and a record's, about: what is written ends within the same sector */

static unsigned vary_size(unsigned choice, unsigned size, unsigned nth)
{
	switch (choice) {
	case SIZE_ONE:
		return 1;
	case SIZE_SECTOR:
		return size + SECTOR_BYTES;
	case SIZE_BLOCK: /* just within, and just beyond, in turns */
		return (size / BLOCK_BYTES + 1) * BLOCK_BYTES - (nth % 2 == 0 ? GROUP_BYTES : 0);
	case SIZE_TRIPLE:
		return 3 * size < SCRIPT_SEGMENT / 2 ? 3 * size : size;
	case SIZE_TURNS:
		return nth % 2 == 0 ? 1 : 12000;
	case SIZE_SEGMENT: /* two fill what a segment has */
		return SCRIPT_SEGMENT / 2 - (nth % 2 == 0 ? 3000 : 1500);
	default:
		return size;
	}
}

static enum pd_level vary_level(unsigned choice, enum pd_level level, unsigned nth)
{
	if (level != PD_LEVEL_UNSET)
		return level;
	switch (choice) {
	case LEVELS_STANDARD:
		return PD_LEVEL_STANDARD;
	case LEVELS_PERFORMANCE:
		return PD_LEVEL_PERFORMANCE;
	case LEVELS_NONE:
		return PD_LEVEL_NONE;
	case LEVELS_TURNS:
		return nth % 2 == 0 ? PD_LEVEL_STANDARD : PD_LEVEL_STRICT;
	default:
		return level;
	}
}

static void add_steps(struct acts *acts, const struct act *act, unsigned choice)
{
	if (act->kind == ACT_STEP && choice == STEPS_NONE)
		return;
	if (act->kind == ACT_SETTLE && choice == STEPS_UNSETTLED) {
		add_kind(acts, ACT_STEP);
		return;
	}
	add(acts, *act);
	if (writes(act) && choice == STEPS_EACH)
		add_kind(acts, ACT_STEP);
	if (writes(act) && choice == STEPS_SETTLED)
		add_kind(acts, ACT_SETTLE);
}

static void add_middle(struct acts *acts, const struct variant *variant)
{
	static const enum act_kind ends[] = { ACT_REOPEN, ACT_KILL, ACT_CUT };
	static const enum act_kind begun[] = { ACT_BEGIN_CHECKPOINT, ACT_BEGIN_TRIM, ACT_BEGIN_COMPACT };

	if (variant->choices[VARY_UPKEEP] != UPKEEP_AS_WRITTEN)
		add_kind(acts, begun[variant->choices[VARY_UPKEEP] - UPKEEP_CHECKPOINT]);
	if (variant->choices[VARY_LIFE] >= LIFE_CLOSED)
		add_kind(acts, ends[variant->choices[VARY_LIFE] - LIFE_CLOSED]);
}

static void add_before(struct acts *acts, unsigned life)
{
	if (life != LIFE_SECOND && life != LIFE_KILLED_BEFORE && life != LIFE_CUT_BEFORE)
		return;
	add(acts, (struct act){ ACT_PUT, 700, PD_LEVEL_UNSET });
	add_kind(acts, ACT_SETTLE);
	add(acts, (struct act){ ACT_PUT, 2500, PD_LEVEL_STANDARD });
	add_kind(acts, ACT_STEP);
	add_kind(acts, life == LIFE_SECOND ? ACT_REOPEN : life == LIFE_CUT_BEFORE ? ACT_CUT : ACT_KILL);
}

static void add_story(struct acts *acts, const struct script *script, const struct variant *variant)
{
	unsigned length = 0, nth = 0;

	while (length < ACTS_MAX && script->acts[length].kind != ACT_END)
		length++;
	for (unsigned i = 0; i < length; i++) {
		struct act act = script->acts[i];

		if (i == length / 2)
			add_middle(acts, variant);
		if (has_size(&act))
			act.size = vary_size(variant->choices[VARY_SIZES], act.size, nth);
		if (writes(&act))
			act.level = vary_level(variant->choices[VARY_LEVELS], act.level, nth++);
		add_steps(acts, &act, variant->choices[VARY_STEPS]);
	}
	if (variant->choices[VARY_LEVELS] == LEVELS_FULL) {
		add(acts, (struct act){ ACT_PUT, 10, PD_LEVEL_FULL });
		add_kind(acts, ACT_SETTLE);
	}
}

/* May this scenario be changed so? */
static bool allowed(const struct script *script, const struct variant *variant)
{
	const uint8_t *choices = variant->choices;
	unsigned keeps = script->keeps;
	struct pd_engine_options options = PD_ENGINE_OPTIONS_DEFAULT;
	struct pd_sim_options machine = PD_SIM_OPTIONS_DEFAULT;

	if ((keeps & VARY_KEEPS_ALL) != 0)
		for (unsigned kind = 0; kind < VARY_COUNT; kind++)
			if (choices[kind] != 0)
				return false;
	script_shape(script, &options, &machine);
	if (choices[VARY_LEVELS] == LEVELS_FULL && options.levels == PD_LEVELS_NONE &&
	    choices[VARY_ENGINE] != ENGINE_MOVES)
		return false;
	if (choices[VARY_UPKEEP] != 0 && options.levels == PD_LEVELS_NONE &&
	    choices[VARY_ENGINE] != ENGINE_MOVES)
		return false;
	return !((keeps & VARY_KEEPS_MIDDLE) != 0 && choices[VARY_LIFE] >= LIFE_CLOSED) &&
	       !((keeps & VARY_KEEPS_ONCE) != 0 && choices[VARY_LIFE] == LIFE_TWICE) &&
	       !((keeps & VARY_KEEPS_PAST) != 0 &&
		 (choices[VARY_ENGINE] == ENGINE_MOVES || choices[VARY_ENGINE] == ENGINE_CHUNKS)) &&
	       !((keeps & VARY_KEEPS_CLIENTS) != 0 && choices[VARY_CLIENTS] != 0) &&
	       !((keeps & VARY_KEEPS_STEPS) != 0 && choices[VARY_STEPS] != 0);
}

bool vary_script(const struct script *script, unsigned number, struct script *ret_variant)
{
	struct acts acts = { .acts = ret_variant->acts };

	*ret_variant = (struct script){ .name = script->name,
					.shape = script->shape,
					.keeps = script->keeps };
	choose(&ret_variant->variant, number);
	if (!allowed(script, &ret_variant->variant))
		return false;
	add_before(&acts, ret_variant->variant.choices[VARY_LIFE]);
	add_story(&acts, script, &ret_variant->variant);
	if (ret_variant->variant.choices[VARY_LIFE] == LIFE_TWICE) {
		add_kind(&acts, ACT_REOPEN);
		add_story(&acts, script, &ret_variant->variant);
	}
	return !acts.full;
}

/* ---- machines and engines ---- */

static void vary_machine(unsigned choice, struct pd_engine_options *options, struct pd_sim_options *machine)
{
	switch (choice) {
	case MACHINE_QUEUE:
		options->queue_depth = 4;
		break;
	case MACHINE_CACHE:
	case MACHINE_CACHE_BLOCKS:
		options->refuse_direct = true;
		machine->direct_alignment = 0;
		machine->torn_unit = choice == MACHINE_CACHE ? 512 : 4096;
		break;
	case MACHINE_BLOCKS:
		machine->direct_alignment = machine->torn_unit = 4096;
		break;
	case MACHINE_DEEP_LATE:
		options->queue_depth = 8;
		machine->late_tasks = true;
		break;
	case MACHINE_LATE:
		machine->late_tasks = true;
		break;
	default:
		break;
	}
}

void vary_shape(const struct variant *variant, struct pd_engine_options *options,
		struct pd_sim_options *machine)
{
	vary_machine(variant->choices[VARY_MACHINE], options, machine);
	switch (variant->choices[VARY_ENGINE]) {
	case ENGINE_MOVES: /* with every little that is written */
		options->levels = PD_LEVELS_PLAIN;
		options->memtable_bytes = 1024;
		options->compaction_trigger = 2;
		options->retention_s = options->retention_bytes = 0;
		options->checkpoint_log_bytes = SCRIPT_SEGMENT;
		break;
	case ENGINE_CHUNKS:
		options->large_min = 400;
		options->chunk_size = 300;
		break;
	case ENGINE_EAGER: /* to make checkpoints and to read ahead */
		options->checkpoint_log_bytes = 4096;
		options->rest_us = 1;
		break;
	case ENGINE_KEEPS:
		options->retention_s = 600;
		options->retention_bytes = 4 * SCRIPT_SEGMENT;
		break;
	case ENGINE_RANGES:
		options->range_points_max = options->range_count_max = 1;
		break;
	default:
		break;
	}
}

uint64_t vary_schedule(const struct variant *variant)
{
	return variant->choices[VARY_MACHINE] == MACHINE_DEEP_LATE ? 2 : 0;
}

struct vary_place vary_place(const struct variant *variant, unsigned nth)
{
	struct vary_place place = { .client = 0, .key = (uint8_t)(nth % WORLD_KEYS) };

	if (variant->choices[VARY_CLIENTS] == CLIENTS_TWO)
		place.client = (uint8_t)(nth % 2);
	else if (variant->choices[VARY_CLIENTS] == CLIENTS_FOUR)
		place.client = (uint8_t)(nth % WORLD_SESSIONS);
	else if (variant->choices[VARY_CLIENTS] == CLIENTS_ONE_KEY)
		place.key = 0;
	return place;
}
