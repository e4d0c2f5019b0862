/* Repairing a damaged directory, with a crash at every disk operation of the repair, each of them failing, and each allocation:
 * whatever is left can be opened, the same repair goes on to the end, nothing is served that is not true, and what was replaced is
 * still there. A repair that fails says why, and has freed all that it took.
 *
 *     repair [--every N] [--seeds N] [--first S] [--jobs J]
 *                                              every operation and allocation (each Nth), in each of the ways; and damage by chance
 *     repair --scenario NAME [--at K --way W]  one of them, or one disturbance of it; the ways are numbered as in `ways`
 *     repair --seed S                          one seed of damage by chance (repair_seeds.c)
 *
 * The last line is `N passed, N failed`: the scenarios and the seeds. */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/codec.h"
#include "base/memory.h"
#include "engine/actor.h"
#include "engine/repair.h"
#include "jobs.h"
#include "log/group.h"
#include "repair_seeds.h"
#include "rot.h"

#define LOG_BYTES   (512u * 1024)
#define LOG_SEGMENT (64u * 1024)
#define COPY        "copy"

#define SMALL_RECORD 512u /* bytes of which one that flips is put right on the word of the checksum */

enum damage {
	DAMAGE_BIT,      /* of a small record */
	DAMAGE_LARGE,    /* one of a large record, which is taken for one: its checksum alone says so */
	DAMAGE_HEADER,   /* one bit of a group's header */
	DAMAGE_SECTORS,  /* garbage in place of some */
	DAMAGE_SEGMENT,  /* a file is gone */
	DAMAGE_TAIL,     /* the last write is torn */
	DAMAGE_MANIFEST, /* one bit */
};

struct scenario {
	const char *name;
	enum damage damage;
	bool copy;    /* there is one */
	bool served;  /* a server had been started on it, which noted who is quarantined */
	bool release; /* somebody looked, and wants an actor served again */
	bool whole;   /* everybody has everything in the end */
};

static const struct scenario scenarios[] = {
	{ "a bit", DAMAGE_BIT, false, false, false, true },
	{ "a bit, after a start", DAMAGE_BIT, false, true, false, true },
	{ "a bit of a large record", DAMAGE_LARGE, false, false, false, true },
	{ "a header", DAMAGE_HEADER, false, false, false, true },
	{ "sectors", DAMAGE_SECTORS, false, false, false, false },
	{ "sectors, after a start", DAMAGE_SECTORS, false, true, false, false },
	{ "sectors, with a copy", DAMAGE_SECTORS, true, false, false, true },
	{ "sectors, with a copy, after a start", DAMAGE_SECTORS, true, true, false, true },
	{ "sectors, released", DAMAGE_SECTORS, false, false, true, false },
	{ "a segment, with a copy", DAMAGE_SEGMENT, true, false, false, true },
	{ "a torn tail", DAMAGE_TAIL, false, false, false, true },
	{ "the manifest", DAMAGE_MANIFEST, false, false, false, true },
};

/* How long a repair is, in what may fail. */
struct extent {
	uint64_t operations, allocations;
};

struct play {
	const struct scenario *scenario;
	const struct image *image;
	const struct truth *truth;
	struct pd_os *os;
	bool verbose;
	struct hit hit;       /* what was damaged of the log */
	struct extent extent; /* of the repair that nothing disturbed */
	char failure[400];
};

static bool wrong(struct play *play, const char *format, ...) __attribute__((format(printf, 2, 3)));

static bool wrong(struct play *play, const char *format, ...)
{
	va_list arguments;

	if (play->failure[0] != '\0')
		return false;
	va_start(arguments, format);
	(void)vsnprintf(play->failure, sizeof play->failure, format, arguments);
	va_end(arguments);
	return false;
}

static _Noreturn void give_up(const char *why)
{
	(void)fprintf(stderr, "repair: %s\n", why);
	exit(2);
}

/* ---- damage ---- */

/* Of the first record in a group; a stamp is not among the bytes that say it. */
static uint32_t first_length(const struct play *play, const struct true_group *group)
{
	const struct image_file *file = image_find(play->image, segment_path(group->segment));

	return pd_load_u32(file->data + group->sector * PD_SECTOR_SIZE + PD_GROUP_HEADER_SIZE + 4);
}

/* The last group of records of more than a few sectors in a sealed segment, whose records no name is among, and of which the first is small,
 * or large. */
static const struct true_group *pick_group(const struct play *play)
{
	const struct truth *truth = play->truth;
	enum damage damage = play->scenario->damage;

	for (size_t i = truth->group_count; i-- > 0;) {
		const struct true_group *group = &truth->groups[i];
		bool system = false;

		if (group->segment == truth->last_segment || group->frame || group->sector == 0 ||
		    group->last_lsn < group->first_lsn || group->sectors < 3)
			continue;
		if ((damage == DAMAGE_BIT && first_length(play, group) > SMALL_RECORD) ||
		    (damage == DAMAGE_LARGE && first_length(play, group) <= SMALL_RECORD))
			continue;
		for (uint64_t lsn = group->first_lsn; lsn <= group->last_lsn; lsn++)
			system = system || truth->records[lsn - 1].system ||
				 truth->records[lsn - 1].epoch_begins;
		if (!system)
			return group;
	}
	give_up("no group can be damaged");
}

static void make_copy(struct play *play)
{
	struct pd_os_file *file;
	char path[160];

	(void)!pd_os_mkdir(play->os, COPY, NULL);
	for (size_t i = 0; i < play->image->count; i++) {
		const struct image_file *from = &play->image->files[i];

		if (strstr(from->path, ".seg") == NULL)
			continue;
		(void)snprintf(path, sizeof path, COPY "%s", strrchr(from->path, '/'));
		if (pd_os_open(play->os, path, PD_OS_WRITE | PD_OS_CREATE | PD_OS_SYNCED, &file, NULL) != 0 ||
		    pd_os_write(file, from->data, from->size, 0, NULL) != 0)
			give_up("no copy can be made");
		pd_os_close(file);
	}
	if (pd_os_sync_directory(play->os, COPY, NULL) != 0 || pd_os_sync_directory(play->os, ".", NULL) != 0)
		give_up("no copy can be made");
}

static void damage_bytes(struct play *play, uint32_t segment, uint64_t from, const void *data, size_t size)
{
	if (pd_sim_damage(play->os, segment_path(segment), from, data, size) != 0)
		give_up("cannot damage");
	play->hit = (struct hit){ segment, from, from + size };
}

static void damage_log(struct play *play)
{
	const struct true_group *group = pick_group(play);
	const struct image_file *file = image_find(play->image, segment_path(group->segment));
	uint64_t from = group->sector * PD_SECTOR_SIZE;
	uint8_t garbage[2 * PD_SECTOR_SIZE];
	uint8_t byte;

	switch (play->scenario->damage) {
	case DAMAGE_BIT:
	case DAMAGE_LARGE:
		byte = file->data[from + 100] ^ 4;
		damage_bytes(play, group->segment, from + 100, &byte, 1);
		break;
	case DAMAGE_HEADER:
		byte = file->data[from + 24] ^ 1;
		damage_bytes(play, group->segment, from + 24, &byte, 1);
		break;
	case DAMAGE_SECTORS:
		memset(garbage, 0x5a, sizeof garbage);
		damage_bytes(play, group->segment, from + PD_SECTOR_SIZE, garbage, sizeof garbage);
		break;
	default:
		give_up("what damage?");
	}
}

/* Behind the last group lies one of which only the first sector was written. */
static void tear_tail(struct play *play)
{
	const struct true_group *group = &play->truth->groups[play->truth->group_count - 1];
	const struct image_file *file = image_find(play->image, segment_path(group->segment));
	uint64_t from = (group->sector + 1) * PD_SECTOR_SIZE;
	uint8_t zeros[64 * PD_SECTOR_SIZE] = { 0 };

	if (group->sectors < 2 || group->sectors > 64)
		give_up("the last group is too small to be torn");
	damage_bytes(play, group->segment, from, zeros, (size_t)(group->sectors - 1) * PD_SECTOR_SIZE);
	(void)file;
}

static void damage(struct play *play)
{
	uint32_t segment = play->truth->first_segment + 1;

	switch (play->scenario->damage) {
	case DAMAGE_SEGMENT:
		if (pd_os_unlink(play->os, segment_path(segment), NULL) != 0 ||
		    pd_os_sync_directory(play->os, ROT_LOG, NULL) != 0)
			give_up("no segment can be removed");
		break;
	case DAMAGE_TAIL:
		tear_tail(play);
		break;
	case DAMAGE_MANIFEST:
		if (pd_sim_flip_bit(play->os, "data/MANIFEST", 40, 0) != 0)
			give_up("no manifest");
		break;
	default:
		damage_log(play);
	}
}

/* ---- opening ---- */

/* Did the actor have a record in what was damaged? */
static bool may_have_lost(const struct play *play, uint64_t actor)
{
	const struct truth *truth = play->truth;

	for (size_t i = 0; i < truth->group_count; i++) {
		const struct true_group *group = &truth->groups[i];

		if (group->segment != play->hit.segment ||
		    (group->sector + group->sectors) * PD_SECTOR_SIZE <= play->hit.from ||
		    group->sector * PD_SECTOR_SIZE >= play->hit.to)
			continue;
		for (uint64_t lsn = group->first_lsn; lsn <= group->last_lsn; lsn++)
			for (unsigned a = 0; a < truth->records[lsn - 1].actor_count; a++)
				if (truth->actors[truth->records[lsn - 1].actors_at + a] == actor)
					return true;
	}
	return false;
}

static bool judge_actor(struct play *play, struct pd_engine *engine, struct pd_session *session, size_t n,
			bool all, uint64_t *quarantined)
{
	struct pd_slice name = pd_slice_string(play->image->actors[n].name);
	struct pd_actor_info info;
	struct pd_hash128 hash;
	struct pd_error err = { 0 };

	if (pd_engine_actor_info(engine, session, name, &info, &err) != 0)
		return wrong(play, "actor %s: %.200s", play->image->actors[n].name, err.text);
	*quarantined += info.quarantined;
	if (info.quarantined && (all || !may_have_lost(play, info.id)))
		return wrong(play, "actor %s is quarantined", play->image->actors[n].name);
	if (info.quarantined || play->scenario->release)
		return true;
	if (pd_engine_state_hash(engine, session, name, &hash, &err) != 0)
		return wrong(play, "actor %s: %.200s", play->image->actors[n].name, err.text);
	/* The records of a torn write were nobody's. */
	if ((hash.low != play->image->actors[n].hash.low || hash.high != play->image->actors[n].hash.high) &&
	    play->scenario->damage != DAMAGE_TAIL)
		return wrong(play, "SILENT WRONG READ: actor %s", play->image->actors[n].name);
	return true;
}

/* Is what is served true, and is `all` of it there? */
static bool judge(struct play *play, bool all, uint64_t *ret_quarantined)
{
	struct pd_session *session;
	struct pd_engine *engine;
	struct pd_error err = { 0 };
	bool good;

	*ret_quarantined = 0;
	if (image_open_engine(play->image, play->os, &engine, &err) != 0) {
		/* Before the repair is through, a manifest or a segment may still be missing. */
		if (!all &&
		    (play->scenario->damage == DAMAGE_MANIFEST || play->scenario->damage == DAMAGE_SEGMENT))
			return true;
		return wrong(play, "cannot be opened: %.300s", err.text);
	}
	session = pd_session_new(engine, 1, "judge", "");
	good = session != NULL;
	for (size_t n = 0; good && n < play->image->actor_count; n++)
		good = judge_actor(play, engine, session, n, all, ret_quarantined);
	if (good && all && pd_engine_damage(engine, 0) != NULL)
		good = wrong(play, "damage is met again: %s", pd_engine_damage(engine, 0)->text);
	pd_session_free(session);
	if (pd_engine_close(engine, &err) != 0)
		return wrong(play, "cannot be closed: %.300s", err.text);
	return good;
}

/* ---- the repair ---- */

static int repair_once(struct play *play, bool release, struct pd_repair *repair, struct pd_error *err)
{
	struct pd_repair_options options = { .engine = play->image->options };
	char name[2 * PD_NAME_SIZE_MAX + 2];
	int result;

	options.engine.os = play->os;
	options.from = play->scenario->copy ? COPY : NULL;
	options.flipped_bits = play->scenario->damage == DAMAGE_LARGE;
	pd_repair_init(repair);
	result = pd_repair_run(&options, repair, err);
	if (result != 0 || !release)
		return result;
	/* Everybody who is still quarantined, one after the other. */
	while (result == 0) {
		options.release = NULL;
		for (size_t i = 0; i < repair->actor_count; i++)
			if (!repair->actors[i].healed && !repair->actors[i].released)
				options.release = repair->actors[i].name;
		if (options.release == NULL)
			break;
		(void)snprintf(name, sizeof name, "%s", options.release);
		options.release = name;
		pd_repair_done(repair);
		pd_repair_init(repair);
		result = pd_repair_run(&options, repair, err);
	}
	return result;
}

/* What was in the segment that was damaged must be there, under whatever name. */
static bool is_kept(struct play *play, const uint8_t *damaged, uint64_t size)
{
	struct pd_os_names names;
	bool kept = false;

	if (pd_os_list(play->os, "data/" PD_SET_ASIDE, &names, NULL) != 0)
		return false;
	for (size_t i = 0; i < names.count && !kept; i++) {
		char path[160];
		const uint8_t *data;
		uint64_t there;

		(void)snprintf(path, sizeof path, "data/" PD_SET_ASIDE "/%.100s", names.names[i]);
		kept = pd_sim_content(play->os, path, &data, &there) == 0 && there == size &&
		       memcmp(data, damaged, size) == 0;
	}
	pd_os_names_done(&names);
	return kept;
}

static bool begin(struct play *play, uint8_t **ret_damaged, uint64_t *ret_size)
{
	struct pd_engine *engine;
	struct pd_error err = { 0 };
	const uint8_t *data;

	play->os = image_machine(play->image, false);
	if (play->scenario->copy)
		make_copy(play);
	damage(play);
	if (play->scenario->served) {
		if (image_open_engine(play->image, play->os, &engine, &err) != 0 ||
		    pd_engine_close(engine, &err) != 0)
			return wrong(play, "a server does not start: %.300s", err.text);
	}
	*ret_damaged = NULL;
	if (play->hit.segment == 0 ||
	    pd_sim_content(play->os, segment_path(play->hit.segment), &data, ret_size) != 0)
		return true;
	*ret_damaged = malloc(*ret_size);
	if (*ret_damaged == NULL)
		give_up("out of memory");
	memcpy(*ret_damaged, data, *ret_size);
	return true;
}

static bool finish(struct play *play, const uint8_t *damaged, uint64_t size, bool disturbed)
{
	struct pd_repair repair;
	struct pd_error err = { 0 };
	uint64_t quarantined, before = pd_sim_operations(play->os);
	bool good = true;

	pd_memory_fail(ULONG_MAX, 0);
	if (repair_once(play, play->scenario->release, &repair, &err) != 0)
		good = wrong(play, "the repair fails: %.300s", err.text);
	play->extent = (struct extent){ pd_sim_operations(play->os) - before,
					ULONG_MAX - pd_memory_fail_left() };
	pd_memory_fail(0, 0);
	/* One that was cut off may have put it right before. */
	if (good && !disturbed && (repair.log.doubt_count > 0) != (play->scenario->damage == DAMAGE_LARGE))
		good = wrong(play, "%zu doubts", repair.log.doubt_count);
	if (good && repair.damage_after > 0)
		good = wrong(play, "%" PRIu64 " damaged places are left", repair.damage_after);
	pd_repair_done(&repair);
	good = good && judge(play, play->scenario->whole || play->scenario->release, &quarantined);
	if (good && !play->scenario->whole && !play->scenario->release && quarantined == 0)
		good = wrong(play, "nobody is quarantined, though records are lost");
	if (good && damaged != NULL && !is_kept(play, damaged, size))
		good = wrong(play, "the segment that was damaged is nowhere");
	return good;
}

/* ---- disturbing it ---- */

/* What happens at an operation or an allocation of the repair. */
struct way {
	const char *name;
	enum {
		CRASH,
		DISK,
		MEMORY,
	} what;
	enum pd_sim_survival
		survival; /* CRASH: what of all that was not stable is there after the power cut */
	int errnum;       /* DISK */
	bool for_good;    /* DISK, MEMORY: so do all after it */
};

static const struct way ways[] = {
	{ "power cut", CRASH, PD_SIM_SURVIVES_NOTHING, 0, true },
	{ "power cut, everything survives", CRASH, PD_SIM_SURVIVES_ALL, 0, true },
	{ "power cut, chance decides", CRASH, PD_SIM_SURVIVES_BY_CHANCE, 0, true },
	{ "input/output error", DISK, PD_SIM_SURVIVES_ALL, EIO, false },
	{ "no room from here on", DISK, PD_SIM_SURVIVES_ALL, ENOSPC, true },
	{ "an allocation fails", MEMORY, PD_SIM_SURVIVES_ALL, 0, false },
	{ "no memory from here on", MEMORY, PD_SIM_SURVIVES_ALL, 0, true },
};
#define WAY_COUNT (sizeof ways / sizeof ways[0])

static bool crash(struct play *play, const struct way *way, uint64_t at)
{
	struct pd_repair repair;
	struct pd_error err = { 0 };

	pd_sim_set_chance(play->os, at, way->survival);
	pd_sim_crash_at(play->os, at);
	(void)!repair_once(play, play->scenario->release, &repair, &err);
	pd_repair_done(&repair);
	pd_sim_power_cut(play->os);
	pd_sim_advance_us(play->os, 1000000);
	return true;
}

/* Every other time what was not stable is lost after that. */
static bool fail(struct play *play, const struct way *way, uint64_t at)
{
	struct pd_repair repair;
	struct pd_error err = { 0 };
	int result;

	if (way->what == DISK)
		pd_sim_fail_from(play->os, at, way->errnum, way->for_good);
	else
		pd_memory_fail((unsigned long)at, way->for_good);
	result = repair_once(play, play->scenario->release, &repair, &err);
	pd_sim_fail_from(play->os, 0, 0, false);
	pd_memory_fail(0, 0);
	pd_repair_done(&repair);
	if (at % 2 == 0) {
		pd_sim_set_chance(play->os, at, PD_SIM_SURVIVES_NOTHING);
		pd_sim_power_cut(play->os);
	}
	pd_sim_advance_us(play->os, 1000000);
	return result == 0 || err.text[0] != '\0' || wrong(play, "it fails with %d and not a word", result);
}

/* at 0: nothing happens. */
static bool play_once(struct play *play, uint64_t at, const struct way *way, bool start_between)
{
	long live = pd_memory_live();
	uint8_t *damaged = NULL;
	uint64_t size = 0, quarantined;
	bool good;

	play->failure[0] = '\0';
	play->hit = (struct hit){ 0 };
	good = begin(play, &damaged, &size);
	if (good && at > 0) {
		good = way->what == CRASH ? crash(play, way, at) : fail(play, way, at);
		good = good && (!start_between || judge(play, false, &quarantined));
	}
	good = good && finish(play, damaged, size, at > 0);
	free(damaged);
	pd_os_free(play->os);
	live = pd_memory_live() - live;
	return good && (live == 0 || wrong(play, "%ld allocations were not freed", live));
}

/* Every other time a server is started between the disturbed repair and the one that ends it. */
static bool play_at(struct play *play, uint64_t at, unsigned way)
{
	return play_once(play, at, &ways[way], (at + way) % 2 == 0);
}

static void report(const struct play *play, uint64_t at, unsigned way)
{
	(void)printf("'%s' FAILED: %s\n    replay: build/tests/sim/repair --scenario '%s'",
		     play->scenario->name, play->failure, play->scenario->name);
	if (at > 0)
		(void)printf(" --at %" PRIu64 " --way %u   (%s)", at, way, ways[way].name);
	(void)printf("\n");
}

static bool explore(struct play *play, uint64_t every, uint64_t *runs)
{
	struct extent extent;

	if (!play_once(play, 0, NULL, false)) {
		report(play, 0, 0);
		return false;
	}
	extent = play->extent;
	for (unsigned way = 0; way < WAY_COUNT; way++) {
		uint64_t end = ways[way].what == MEMORY ? extent.allocations : extent.operations;

		/* Another one first in each way, so that together they meet more of them. */
		for (uint64_t at = 1 + way * 5 % every; at <= end; at += every) {
			++*runs;
			if (play_at(play, at, way))
				continue;
			report(play, at, way);
			return false;
		}
	}
	(void)printf("%-38s  %" PRIu64 " operations, %" PRIu64 " allocations\n", play->scenario->name,
		     extent.operations, extent.allocations);
	(void)fflush(stdout);
	return true;
}

struct options {
	const char *scenario;
	uint64_t at, every, first, seeds;
	unsigned way, jobs;
	bool single; /* one seed, told of */
};

static struct options parse_options(int argc, char **argv)
{
	struct options options = { .every = 1, .first = 1, .seeds = 2000, .jobs = jobs_default() };

	for (int i = 1; i < argc; i += 2) {
		const char *name = argv[i];
		char *end = argv[i];
		uint64_t number = i + 1 < argc ? strtoull(argv[i + 1], &end, 10) : 0;

		if (i + 1 < argc && strcmp(name, "--scenario") == 0) {
			options.scenario = argv[i + 1];
			options.seeds = 0;
			continue;
		}
		if (*end != '\0' || i + 1 == argc)
			name = "";
		if (strcmp(name, "--at") == 0)
			options.at = number;
		else if (strcmp(name, "--every") == 0 && number > 0)
			options.every = number;
		else if (strcmp(name, "--way") == 0 && number < WAY_COUNT)
			options.way = (unsigned)number;
		else if (strcmp(name, "--jobs") == 0 && number > 0 && number <= JOBS_MAX)
			options.jobs = (unsigned)number;
		else if (strcmp(name, "--first") == 0)
			options.first = number;
		else if (strcmp(name, "--seeds") == 0)
			options.seeds = number;
		else if (strcmp(name, "--seed") == 0)
			options = (struct options){ .first = number, .seeds = 1, .jobs = 1, .single = true };
		else
			give_up("usage: repair [--every N] [--seeds N] [--first S] [--jobs J]\n"
				"       repair --seed S\n"
				"       repair --scenario NAME [--at K --way W]");
	}
	return options;
}

static bool play_scenario(struct play *play, const struct options *options, uint64_t *runs)
{
	if (options->at == 0)
		return explore(play, options->every, runs);
	++*runs;
	if (play_at(play, options->at, options->way))
		return true;
	report(play, options->at, options->way);
	return false;
}

int main(int argc, char **argv)
{
	struct options options = parse_options(argc, argv);
	struct image image;
	struct truth truth;
	uint64_t runs = 0, passed = 0,
		 failed = repair_seeds(options.first, options.seeds, options.jobs, options.single);

	passed = options.seeds - (failed < options.seeds ? failed : options.seeds);
	pd_memory_fail(0, 0); /* from here on what is allocated is counted */
	image_make(&image, IMAGE_LIVE, LOG_BYTES, LOG_SEGMENT, 5);
	truth_make(&truth, &image);
	for (size_t i = 0; !options.single && i < sizeof scenarios / sizeof scenarios[0]; i++) {
		struct play play = { .scenario = &scenarios[i], .image = &image, .truth = &truth };
		bool good;

		if (options.scenario != NULL && strcmp(options.scenario, scenarios[i].name) != 0)
			continue;
		good = play_scenario(&play, &options, &runs);
		passed += good;
		failed += !good;
	}
	(void)printf("%" PRIu64 " disturbances of repairs, %" PRIu64 " seeds of damage, %" PRIu64
		     " violations\n",
		     runs, options.seeds, failed);
	(void)printf("%" PRIu64 " passed, %" PRIu64 " failed\n", passed, failed);
	truth_done(&truth);
	image_done(&image);
	return failed > 0 || passed == 0 ? 1 : 0;
}
