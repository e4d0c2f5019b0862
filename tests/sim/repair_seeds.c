/* Directories damaged by chance, in one place or some, and repaired; sometimes a server was started in between, sometimes there is a
 * copy, sometimes the power goes during the repair, which is then repeated. What is compared is what anybody could read before, on
 * a machine with the same damage, and after:
 *
 *   - who was served is served, with the same state or the true one; whoever is served again has the true one
 *   - a record of the log that could be read can be read, and is the same; or a checkpoint is beyond it, and its segment aside
 *   - a segment that was changed or taken away is there, byte by byte, among what was set aside; nothing is deleted
 *   - a plan (--dry-run) changes nothing, and the repair begins with exactly the steps of the plan
 *   - what is left undecided is left as it is; decided, it is no more, and a second repair finds nothing more to heal
 *
 * Damage that makes a tail look torn (zeros, older sectors, files cut off) may cost it: a log alone cannot know better. */
#include "repair_seeds.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/actor.h"
#include "engine/repair.h"
#include "jobs.h"
#include "rot.h"

#define LOG_BYTES    (384u * 1024)
#define LOG_SEGMENT  (64u * 1024)
#define COPY         "copy"
#define PLACES_MAX   4
#define REPORTS_MAX  5
#define CRASH_SPREAD 600u /* operations of a repair, about */

/* ---- what can be read ---- */

struct sight {
	uint64_t *records; /* hash of LSN n at n - 1; 0: it cannot be read */
	uint64_t record_count, first_lsn;
	bool opened;
	struct {
		bool served;
		struct pd_hash128 hash;
	} actors[ROT_ACTORS_MAX];
};

struct play {
	const struct image *image;
	uint64_t seed;
	struct chance chance;
	struct pd_os *os;
	bool copy, served, flipped_bits, may_cut, verbose;
	char damage[300]; /* in words */
	struct sight before, after;
	char failure[500];
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

static void *take_memory(void *memory)
{
	if (memory == NULL)
		give_up("out of memory");
	return memory;
}

static void note_record(struct sight *sight, const struct pd_record *record)
{
	if (record->lsn > sight->record_count) {
		sight->records = take_memory(realloc(sight->records, record->lsn * sizeof *sight->records));
		memset(sight->records + sight->record_count, 0,
		       (record->lsn - sight->record_count) * sizeof *sight->records);
		sight->record_count = record->lsn;
	}
	sight->records[record->lsn - 1] = pd_hash64(record->bytes, 0) | 1;
}

/* A log that cannot be opened has nothing to be read. */
static void look_at_log(struct play *play, struct pd_os *os, struct sight *sight)
{
	struct pd_log_options options = { .os = os,
					  .directory = ROT_LOG,
					  .segment_bytes = play->image->segment_bytes };
	struct pd_log_reader *reader;
	struct pd_log_damage damage;
	struct pd_record record;
	struct pd_error err = { 0 };
	struct pd_log *log;
	int result;

	memcpy(options.cluster_id, play->image->cluster_id, sizeof options.cluster_id);
	if (pd_log_file_open(&options, &log, &err) != 0)
		return;
	sight->first_lsn = log->first_lsn;
	if (pd_log_reader_new(log, log->first_lsn, &reader, &err) == 0) {
		while ((result = pd_log_reader_next(reader, &record, &damage, &err)) == 0 ||
		       result == PD_CORRUPT)
			if (result == 0)
				note_record(sight, &record);
		pd_log_reader_free(reader);
	}
	(void)pd_log_close(log, NULL);
}

static void look_at_actors(struct play *play, struct pd_os *os, struct sight *sight)
{
	const struct image *image = play->image;
	struct pd_session *session;
	struct pd_engine *engine;
	struct pd_actor_info info;
	struct pd_error err = { 0 };

	if (image_open_engine(image, os, &engine, &err) != 0)
		return;
	sight->opened = true;
	session = take_memory(pd_session_new(engine, 1, "judge", ""));
	for (size_t n = 0; n < image->actor_count; n++) {
		struct pd_slice name = pd_slice_string(image->actors[n].name);

		sight->actors[n].served = pd_engine_actor_info(engine, session, name, &info, &err) == 0 &&
					  !info.quarantined &&
					  pd_engine_state_hash(engine, session, name, &sight->actors[n].hash,
							       &err) == 0;
	}
	pd_session_free(session);
	(void)pd_engine_close(engine, NULL);
}

static void look(struct play *play, struct pd_os *os, struct sight *sight)
{
	*sight = (struct sight){ 0 };
	look_at_log(play, os, sight);
	look_at_actors(play, os, sight);
}

/* ---- damage ---- */

static const struct image_file *some_file(struct play *play, const char *like)
{
	const struct image *image = play->image;
	size_t count = 0, at;

	for (size_t i = 0; i < image->count; i++)
		count += strstr(image->files[i].path, like) != NULL && image->files[i].size > 0;
	at = (size_t)chance_below(&play->chance, count);
	for (size_t i = 0; i < image->count; i++)
		if (strstr(image->files[i].path, like) != NULL && image->files[i].size > 0 && at-- == 0)
			return &image->files[i];
	give_up("there is no such file to damage");
}

static void put(struct play *play, const struct image_file *file, uint64_t from, const void *data,
		uint64_t size)
{
	/* A file that an earlier damage took away or cut off cannot be hit there any more. */
	(void)!pd_sim_damage(play->os, file->path, from, data, size);
}

static void damage_sectors(struct play *play, const struct image_file *file)
{
	uint8_t bytes[8 * PD_SECTOR_SIZE] = { 0 };
	uint64_t sectors = file->size / PD_SECTOR_SIZE;
	uint64_t from = chance_below(&play->chance, sectors), count = 1 + chance_below(&play->chance, 8);
	bool zeros = chance_one_in(&play->chance, 3);

	count = count < sectors - from ? count : sectors - from;
	for (size_t i = 0; !zeros && i < sizeof bytes; i += 8) {
		uint64_t number = chance_next(&play->chance);

		memcpy(bytes + i, &number, sizeof number);
	}
	play->may_cut = play->may_cut || zeros;
	put(play, file, from * PD_SECTOR_SIZE, bytes, count * PD_SECTOR_SIZE);
}

static void damage_bits(struct play *play, const struct image_file *file)
{
	unsigned bits = 1 + (unsigned)chance_below(&play->chance, 3);

	for (unsigned i = 0; i < bits; i++)
		(void)!pd_sim_flip_bit(play->os, file->path, chance_below(&play->chance, file->size),
				       (unsigned)chance_below(&play->chance, 8));
}

static void cut_off(struct play *play, const struct image_file *file)
{
	struct pd_os_file *handle;

	play->may_cut = true;
	if (pd_os_open(play->os, file->path, PD_OS_WRITE, &handle, NULL) != 0)
		return;
	if (pd_os_resize(handle, chance_below(&play->chance, file->size), NULL) != 0 ||
	    pd_os_datasync(handle, NULL) != 0)
		give_up("a file cannot be cut off");
	pd_os_close(handle);
}

static void remove_file(struct play *play, const struct image_file *file)
{
	int result = pd_os_unlink(play->os, file->path, NULL);

	play->may_cut = true;
	if (result != PD_NOT_FOUND && (result != 0 || pd_os_sync_directory(play->os, ROT_LOG, NULL) != 0))
		give_up("a file cannot be removed");
}

static void damage_once(struct play *play)
{
	uint64_t kind = chance_below(&play->chance, 100);
	const struct image_file *file = some_file(play, kind < 90   ? ".seg"
							: kind < 95 ? "MANIFEST"
								    : "/store/");
	size_t used = strlen(play->damage);

	(void)snprintf(play->damage + used, sizeof play->damage - used, "%s%s of %s", used > 0 ? ", " : "",
		       kind < 40   ? "sectors"
		       : kind < 80 ? "bits"
		       : kind < 85 ? "the end"
		       : kind < 90 ? "all"
				   : "bits",
		       file->path);
	if (kind < 40)
		damage_sectors(play, file);
	else if (kind < 80 || kind >= 90)
		damage_bits(play, file);
	else if (kind < 85)
		cut_off(play, file);
	else
		remove_file(play, file);
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

/* The same machine each time for the same seed. */
static void begin(struct play *play)
{
	struct pd_engine *engine;
	struct pd_error err = { 0 };
	unsigned places;

	play->chance = (struct chance){ play->seed };
	play->damage[0] = '\0';
	play->may_cut = false;
	play->os = image_machine(play->image, false);
	places = chance_one_in(&play->chance, 2) ? 1 : 1 + (unsigned)chance_below(&play->chance, PLACES_MAX);
	for (unsigned i = 0; i < places; i++)
		damage_once(play);
	play->copy = chance_one_in(&play->chance, 3);
	play->served = chance_one_in(&play->chance, 3);
	play->flipped_bits = chance_one_in(&play->chance, 3);
	if (play->copy)
		make_copy(play);
	if (play->served && image_open_engine(play->image, play->os, &engine, &err) == 0)
		(void)pd_engine_close(engine, NULL);
}

/* ---- segments, as they were before the repair ---- */

struct kept_file {
	char path[120];
	uint8_t *data;
	uint64_t size;
};

struct kept {
	struct kept_file *files;
	size_t count;
};

static void keep_segments(struct play *play, struct kept *kept)
{
	struct pd_os_names names;
	const uint8_t *data;

	if (pd_os_list(play->os, ROT_LOG, &names, NULL) != 0)
		give_up("the log cannot be listed");
	*kept = (struct kept){ .files = take_memory(calloc(names.count + 1, sizeof *kept->files)) };
	for (size_t i = 0; i < names.count; i++) {
		struct kept_file *file = &kept->files[kept->count];

		(void)snprintf(file->path, sizeof file->path, ROT_LOG "/%.60s", names.names[i]);
		if (strstr(file->path, ".seg") == NULL ||
		    pd_sim_content(play->os, file->path, &data, &file->size) != 0)
			continue;
		file->data = take_memory(malloc(file->size + 1));
		memcpy(file->data, data, file->size);
		kept->count++;
	}
	pd_os_names_done(&names);
}

static void forget_segments(struct kept *kept)
{
	for (size_t i = 0; i < kept->count; i++)
		free(kept->files[i].data);
	free(kept->files);
}

static bool is_at(struct play *play, const char *path, const struct kept_file *file)
{
	const uint8_t *data;
	uint64_t size;

	return pd_sim_content(play->os, path, &data, &size) == 0 && size == file->size &&
	       memcmp(data, file->data, size) == 0;
}

static bool is_aside(struct play *play, const struct kept_file *file)
{
	struct pd_os_names names;
	char path[160];
	bool found = false;

	if (pd_os_list(play->os, "data/" PD_SET_ASIDE, &names, NULL) != 0)
		return false;
	for (size_t i = 0; i < names.count && !found; i++) {
		(void)snprintf(path, sizeof path, "data/" PD_SET_ASIDE "/%.100s", names.names[i]);
		found = is_at(play, path, file);
	}
	pd_os_names_done(&names);
	return found;
}

static bool expect_kept(struct play *play, const struct kept *kept)
{
	for (size_t i = 0; i < kept->count; i++)
		if (!is_at(play, kept->files[i].path, &kept->files[i]) && !is_aside(play, &kept->files[i]))
			return wrong(play, "%s was changed or removed, and is not among what was set aside",
				     kept->files[i].path);
	return true;
}

/* ---- the repair ---- */

static int run_repair(struct play *play, bool only_plan, struct pd_repair *repair, struct pd_error *err)
{
	struct pd_repair_options options = { .engine = play->image->options,
					     .flipped_bits = play->flipped_bits,
					     .only_plan = only_plan };

	options.engine.os = play->os;
	options.from = play->copy ? COPY : NULL;
	pd_repair_init(repair);
	return pd_repair_run(&options, repair, err);
}

static bool same_step(const struct pd_log_repair_step *a, const struct pd_log_repair_step *b)
{
	return a->kind == b->kind && a->segment == b->segment && a->offset == b->offset &&
	       a->size == b->size && a->first_lsn == b->first_lsn && a->last_lsn == b->last_lsn &&
	       strcmp(a->text, b->text) == 0;
}

/* The repair says what the plan said. */
static bool expect_as_planned(struct play *play, const struct pd_repair *plan, const struct pd_repair *repair)
{
	if (repair->manifest_made != plan->manifest_made)
		return wrong(play, "the plan %s a manifest, and the repair %s",
			     plan->manifest_made ? "has" : "has not",
			     repair->manifest_made ? "wrote one" : "wrote none");
	if (repair->log.step_count < plan->log.step_count)
		return wrong(play, "the plan has %zu steps, and the repair took %zu", plan->log.step_count,
			     repair->log.step_count);
	for (size_t i = 0; i < repair->log.step_count; i++) {
		if (i >= plan->log.step_count && repair->log.steps[i].kind == PD_REPAIR_ASIDE)
			continue; /* what nobody needs any more is known only when the state is whole */
		if (i >= plan->log.step_count || !same_step(&plan->log.steps[i], &repair->log.steps[i]))
			return wrong(play, "step %zu of the repair was not planned: %s", i + 1,
				     repair->log.steps[i].text);
	}
	return true;
}

static bool plan(struct play *play, struct pd_repair *ret_plan, int *ret_result)
{
	struct pd_os_lock *lock;
	struct pd_error err = { 0 };
	uint64_t image;

	/* Whoever looks takes the lock, and may leave its file. */
	if (pd_os_lock(play->os, "data/LOCK", &lock, &err) != 0)
		give_up(err.text);
	pd_os_unlock(lock);
	image = pd_sim_image_hash(play->os);
	*ret_result = run_repair(play, true, ret_plan, &err);
	return pd_sim_image_hash(play->os) == image || wrong(play, "the plan alone has changed something");
}

static bool repair_for_real(struct play *play)
{
	bool crash = chance_one_in(&play->chance, 2);
	struct pd_repair planned, repair;
	struct pd_error err = { 0 };
	int plan_result, result;
	bool good = plan(play, &planned, &plan_result);

	if (crash) {
		pd_sim_set_chance(play->os, chance_next(&play->chance), PD_SIM_SURVIVES_BY_CHANCE);
		pd_sim_crash_at(play->os, 1 + chance_below(&play->chance, CRASH_SPREAD));
	}
	result = run_repair(play, false, &repair, &err);
	if (crash && pd_sim_crashed(play->os)) {
		pd_sim_power_cut(play->os);
		pd_sim_advance_us(play->os, 1000000);
	} else if (good && plan_result != 0 && result == 0) {
		good = wrong(play, "the plan fails with %s, and the repair does not",
			     pd_code_name(plan_result));
	} else if (good && plan_result == 0 && result == 0) {
		good = expect_as_planned(play, &planned, &repair);
	}
	if (play->verbose)
		(void)printf("    plan %s, %zu steps; repair %s, %zu steps, %zu doubts, %zu undecided %s%s\n",
			     pd_code_name(plan_result), planned.log.step_count, pd_code_name(result),
			     repair.log.step_count, repair.log.doubt_count, repair.undecided,
			     pd_sim_crashed(play->os) ? "(crashed) " : "", result != 0 ? err.text : "");
	pd_sim_crash_at(play->os, 0);
	pd_repair_done(&planned);
	pd_repair_done(&repair);
	return good;
}

/* Until nothing happens any more: a repair that could be carried out needs no second one. */
static bool repair_again(struct play *play, bool *ret_repaired)
{
	struct pd_repair repair;
	struct pd_error err = { 0 };
	bool good = true;

	*ret_repaired = run_repair(play, false, &repair, &err) == 0;
	if (repair.undecided > 0) {
		if (repair.damage_after < repair.undecided || repair.opened || play->flipped_bits)
			good = wrong(play, "something is undecided, and the state was touched");
		play->flipped_bits = true;
		pd_repair_done(&repair);
		*ret_repaired = run_repair(play, false, &repair, &err) == 0;
		if (*ret_repaired && repair.undecided > 0)
			good = wrong(play, "something that was decided is undecided");
	}
	pd_repair_done(&repair);
	if (!*ret_repaired || !good)
		return good;
	if (run_repair(play, false, &repair, &err) != 0)
		good = wrong(play, "repaired, and it cannot be repaired again: %.300s", err.text);
	else if (repair.log.step_count > 0 || repair.manifest_made || repair.damage_after > 0)
		good = wrong(play, "repaired, and there is more to do: %s",
			     repair.log.step_count > 0 ? repair.log.steps[0].text : "damage is left");
	pd_repair_done(&repair);
	return good;
}

/* ---- before and after ---- */

static bool same_hash(struct pd_hash128 a, struct pd_hash128 b)
{
	return a.low == b.low && a.high == b.high;
}

static bool compare_actors(struct play *play, bool repaired)
{
	const struct sight *before = &play->before, *after = &play->after;

	if (!after->opened)
		return (!before->opened && !repaired) || wrong(play, "it cannot be opened any more");
	for (size_t n = 0; n < play->image->actor_count; n++) {
		const char *name = play->image->actors[n].name;
		bool is_true = after->actors[n].served &&
			       same_hash(after->actors[n].hash, play->image->actors[n].hash);

		if (before->actors[n].served && !after->actors[n].served)
			return wrong(play, "actor %s was served, and is no more", name);
		if (!after->actors[n].served || is_true || play->may_cut)
			continue;
		if (!before->actors[n].served)
			return wrong(play, "actor %s is served again, and not with what it had", name);
		if (!same_hash(after->actors[n].hash, before->actors[n].hash))
			return wrong(play, "actor %s has another state than before", name);
	}
	return true;
}

static bool compare_records(struct play *play)
{
	const struct sight *before = &play->before, *after = &play->after;

	for (uint64_t lsn = 1; lsn <= before->record_count; lsn++) {
		if (before->records[lsn - 1] == 0)
			continue;
		if (lsn < after->first_lsn && after->opened)
			continue; /* the state is beyond it; what its actors have is compared */
		if (lsn > after->record_count || after->records[lsn - 1] == 0)
			return wrong(play, "LSN %" PRIu64 " could be read, and cannot any more", lsn);
		if (after->records[lsn - 1] != before->records[lsn - 1])
			return wrong(play, "LSN %" PRIu64 " is another record than before", lsn);
	}
	return true;
}

static bool play_seed(struct play *play)
{
	struct kept kept;
	bool repaired = false, good;

	begin(play);
	look(play, play->os, &play->before);
	pd_os_free(play->os);
	begin(play);
	keep_segments(play, &kept);
	good = repair_for_real(play) && repair_again(play, &repaired) && expect_kept(play, &kept);
	look(play, play->os, &play->after);
	good = good && compare_actors(play, repaired) && compare_records(play);
	forget_segments(&kept);
	pd_os_free(play->os);
	free(play->before.records);
	free(play->after.records);
	return good;
}

/* ---- seeds ---- */

struct seeds {
	uint64_t first, count;
	unsigned jobs;
	bool verbose;
	struct image images[2];
	struct shared {
		uint64_t current[JOBS_MAX], failed, reported;
	} * shared;
};

static void report(struct seeds *seeds, uint64_t seed, const char *damage, const char *failure)
{
	(void)__atomic_add_fetch(&seeds->shared->failed, 1, __ATOMIC_RELAXED);
	if (__atomic_add_fetch(&seeds->shared->reported, 1, __ATOMIC_RELAXED) > REPORTS_MAX)
		return;
	(void)printf("seed %" PRIu64 " (%s) FAILED: %s\n    replay: build/tests/sim/repair --seed %" PRIu64
		     "\n",
		     seed, damage, failure, seed);
	(void)fflush(stdout);
}

static void run_job(void *argument, unsigned number)
{
	struct seeds *seeds = argument;

	for (uint64_t seed = seeds->first + number; seed < seeds->first + seeds->count; seed += seeds->jobs) {
		struct play play = { .seed = seed,
				     .image = &seeds->images[seed % 2],
				     .verbose = seeds->verbose };

		seeds->shared->current[number] = seed;
		if (!play_seed(&play))
			report(seeds, seed, play.damage, play.failure);
		else if (seeds->verbose)
			(void)printf("seed %" PRIu64 " (%s) passed\n", seed, play.damage);
	}
}

static void job_broke(void *argument, unsigned number, const char *what)
{
	struct seeds *seeds = argument;

	report(seeds, seeds->shared->current[number], "see a replay", what);
}

uint64_t repair_seeds(uint64_t first, uint64_t count, unsigned jobs, bool verbose)
{
	struct seeds seeds = { .first = first, .count = count, .jobs = jobs, .verbose = verbose };
	uint64_t failed;

	seeds.shared = jobs_share(sizeof *seeds.shared);
	image_make(&seeds.images[0], IMAGE_LIVE, LOG_BYTES, LOG_SEGMENT, 7);
	image_make(&seeds.images[1], IMAGE_TRIMMED, LOG_BYTES, LOG_SEGMENT, 8);
	jobs_run(&(struct jobs){ jobs, run_job, job_broke, &seeds });
	failed = seeds.shared->failed;
	image_done(&seeds.images[0]);
	image_done(&seeds.images[1]);
	return failed;
}
