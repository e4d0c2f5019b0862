/* Rot, case by case: a data directory of the production engine is damaged, opened, and judged by an oracle that knows what is
 * true of it.
 *
 *     rot [--every N] [--flips N] [--large SIZE] [--jobs J]     SIZE in MiB
 *     rot --part log|manifest|checkpoint|trimmed|large|whole --case N [--large SIZE]    replay one
 *
 *   log         every bit of a log of 1 MiB, one at a time (--every N: each Nth). The log is read by the production reader from
 *               the segment that is hit on until it is well in the next; for each answer that had not been heard before,
 *               the engine is opened whole, and every actor's state compared
 *   manifest    every bit of the directory's manifest; the engine is opened
 *   checkpoint  every bit of a checkpoint's files (--every N, as above), with no live levels, so that it is needed; the log is
 *               all there. The shelf is asked, as a start asks it; the engine is opened for each answer that had not been heard
 *               before, for one that nothing is wrong, and for each 64th bit
 *   trimmed     the same where the log begins behind the checkpoint
 *   large       --flips N cases in a log of 256 MiB: one bit or some, blocks that changed places, sectors that are zero, older
 *               or garbage, files cut off, writes torn within a block. Opening all of it for each would take for ever: the
 *               reader reads the two or three segments that are concerned, on a machine of their own
 *   whole       a sample of large: the engine is opened over all of the log
 *
 * The last line is `N passed, N failed`: the cases. */
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "jobs.h"
#include "rot.h"
#include "store/checkpoint.h"

#define REPORTS_MAX           5
#define SET_ENTRIES           (UINT64_C(1) << 22)
#define LOG_BYTES             (1024u * 1024)
#define LOG_SEGMENT           (64u * 1024)
#define STATE_BYTES           (256u * 1024)
#define LARGE_SEGMENT         (1024u * 1024)
#define WINDOW_CASES          200u /* in a window, before another one is taken */
#define CHECKPOINT_OPEN_EVERY 64u
#define WHOLE_EVERY           25000u /* cases of `large` for one of `whole` */

enum part { PART_LOG, PART_MANIFEST, PART_CHECKPOINT, PART_TRIMMED, PART_LARGE, PART_WHOLE, PART_COUNT };
static const char *const part_names[PART_COUNT] = {
	"log", "manifest", "checkpoint", "trimmed", "large", "whole",
};

struct options {
	uint64_t every, flips, large_mib, single; /* case to replay */
	unsigned jobs;
	enum part part; /* PART_COUNT: all */
};

/* Shared by all processes. */
struct shared {
	struct seen answers, cases;
	uint64_t tried[PART_COUNT], opened, distinct, outcomes[OUTCOME_COUNT], lost, unknown, failed,
		reported;
};

/* An answer of the shelf's, and what a start on that came to. */
struct heard {
	uint64_t answer;
	enum outcome_kind kind;
};
#define HEARD_MAX 256

struct job {
	struct heard heard[HEARD_MAX];
	size_t heard_count;
	const struct options *options;
	struct shared *shared;
	unsigned number;
	enum part part;
	struct image image;
	struct truth truth;
};

static void count(uint64_t *counter, uint64_t more)
{
	(void)__atomic_add_fetch(counter, more, __ATOMIC_RELAXED);
}

/* true: for the first time. What is too much to remember is always new. */
static bool see(struct seen *seen, uint64_t key)
{
	return seen_add(seen, key) != SEEN_BEFORE;
}

static double now_s(void)
{
	struct timespec time;

	(void)clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* ---- what came of a case ---- */

static void report(struct job *job, uint64_t number, const char *what, const char *failure)
{
	count(&job->shared->failed, 1);
	if (__atomic_add_fetch(&job->shared->reported, 1, __ATOMIC_RELAXED) > REPORTS_MAX)
		return;
	(void)printf("%s, case %" PRIu64 " (%s) FAILED: %s\n"
		     "    replay: build/tests/sim/rot --part %s --case %" PRIu64 " --large %" PRIu64 "\n",
		     part_names[job->part], number, what, failure, part_names[job->part], number,
		     job->options->large_mib);
	(void)fflush(stdout);
}

static void settle(struct job *job, uint64_t number, const char *what, const struct verdict *verdict)
{
	count(&job->shared->tried[job->part], 1);
	count(&job->shared->outcomes[verdict->kind], 1);
	count(&job->shared->lost, verdict->lost);
	count(&job->shared->unknown, verdict->unknown_actors);
	if (verdict->failure[0] != '\0')
		report(job, number, what, verdict->failure);
	if (job->options->part != PART_COUNT)
		(void)printf("%s, case %" PRIu64 ": %s: %s; %" PRIu64 " records lost%s\n",
			     part_names[job->part], number, what, outcome_names[verdict->kind], verdict->lost,
			     verdict->unknown_actors ? ", of unknown actors" : "");
}

/* ---- log: one bit ---- */

static const struct image_file *log_file_at(const struct image *image, uint64_t *bit, uint32_t *ret_segment)
{
	for (size_t i = 0; i < image->count; i++) {
		const struct image_file *file = &image->files[i];
		const char *name = strrchr(file->path, '/') + 1;

		if (strstr(name, ".seg") == NULL)
			continue;
		if (*bit < 8 * file->size) {
			*ret_segment = (uint32_t)strtoul(name, NULL, 10);
			return file;
		}
		*bit -= 8 * file->size;
	}
	(void)fprintf(stderr, "rot: the log has no such bit\n");
	exit(2);
}

static void flip(struct pd_os *os, const char *path, uint64_t bit)
{
	if (pd_sim_flip_bit(os, path, bit / 8, (unsigned)(bit % 8)) != 0) {
		(void)fprintf(stderr, "rot: cannot flip a bit of %s\n", path);
		exit(2);
	}
}

/* The engine over all of it, with that bit flipped. */
static void open_whole(struct job *job, const struct image_file *file, uint64_t bit, struct verdict *verdict)
{
	struct pd_os *os = image_machine(&job->image, false);

	flip(os, file->path, bit);
	judge_engine(os, &job->image, job->part == PART_LOG ? &job->truth : NULL, verdict);
	pd_os_free(os);
	count(&job->shared->opened, 1);
}

/* Every record says by itself whose it is, if one bit alone is wrong: there is no reason to refuse everybody, but for names. */
static void expect_known(struct verdict *verdict)
{
	if (verdict->failure[0] == '\0' && verdict->unknown_actors)
		(void)snprintf(verdict->failure, sizeof verdict->failure,
			       "one bit has flipped, and nobody knows whom it concerns");
}

static void try_log_bit(struct job *job, struct pd_os *os, uint64_t number)
{
	uint64_t bit = number;
	uint32_t segment;
	const struct image_file *file = log_file_at(&job->image, &bit, &segment);
	const struct truth *truth = &job->truth;
	struct hit hit = { segment, bit / 8, bit / 8 + 1 };
	struct look look = { .os = os,
			     .image = &job->image,
			     .truth = truth,
			     .from_lsn = truth_first_lsn(truth, segment),
			     .last_lsn = truth->count,
			     .first_segment = truth->first_segment,
			     .last_segment = truth->last_segment,
			     .end_sector = UINT64_MAX,
			     .hits = &hit,
			     .hit_count = 1 };
	struct verdict verdict, whole;
	char what[160];

	/* Beyond a record of the next segment nothing can come of it. */
	if (segment + 2 <= truth->last_segment)
		look.until_lsn = truth_first_lsn(truth, segment + 1) + 1;
	(void)snprintf(what, sizeof what, "segment %u, byte %" PRIu64 ", bit %u", segment, bit / 8,
		       (unsigned)(bit % 8));
	flip(os, file->path, bit);
	judge_log(&look, &verdict);
	flip(os, file->path, bit);
	expect_known(&verdict);
	if (verdict.failure[0] == '\0' && see(&job->shared->answers, verdict.hash + segment)) {
		open_whole(job, file, bit, &whole);
		expect_known(&whole);
		if (whole.kind == OUTCOME_REFUSED)
			verdict.kind = OUTCOME_REFUSED;
		memcpy(verdict.failure, whole.failure, sizeof verdict.failure);
	}
	count(&job->shared->distinct, 1);
	settle(job, number, what, &verdict);
}

static void run_log(struct job *job)
{
	uint64_t bits = 8 * job->image.log_bytes, step = job->options->every * job->options->jobs;
	struct pd_os *os = image_machine(&job->image, true);

	if (job->options->part != PART_COUNT)
		try_log_bit(job, os, job->options->single);
	else
		for (uint64_t bit = job->number * job->options->every; bit < bits; bit += step)
			try_log_bit(job, os, bit);
	pd_os_free(os);
}

/* ---- checkpoint: one bit, what the shelf says of it, and the engine for each answer that had not been heard ---- */

static void note_answer(uint64_t *answer, int code, const char *text)
{
	*answer = pd_hash64(pd_slice(&code, sizeof code), *answer);
	*answer = pd_hash64(pd_slice_string(text), *answer);
}

/* All that a start can learn of the checkpoints. *ret_sound: nothing is wrong with them. */
static uint64_t ask_shelf(const struct job *job, struct pd_os *os, bool *ret_sound)
{
	struct pd_checkpoints_options options = { .os = os,
						  .directory = "data/store/0000",
						  .only_look = true };
	struct pd_checkpoints *shelf;
	struct pd_error err = { 0 };
	uint64_t answer = 0;
	int result;

	memcpy(options.cluster_id, job->image.cluster_id, sizeof options.cluster_id);
	*ret_sound = false;
	result = pd_checkpoints_open(&options, &shelf, &err);
	note_answer(&answer, result, err.text);
	if (result != 0)
		return answer;
	*ret_sound = shelf->wreck_count == 0;
	for (size_t i = 0; i < shelf->wreck_count; i++)
		note_answer(&answer, shelf->wrecks[i].why.code, shelf->wrecks[i].why.text);
	for (size_t i = 0; i < shelf->count; i++) {
		err = (struct pd_error){ 0 };
		result = pd_checkpoint_verify(os, shelf->items[i], NULL, NULL, &err);
		note_answer(&answer, result, err.text);
		*ret_sound = *ret_sound && result == 0;
	}
	pd_checkpoints_free(shelf);
	return answer;
}

static struct heard *find_heard(struct job *job, uint64_t answer)
{
	for (size_t i = 0; i < job->heard_count; i++)
		if (job->heard[i].answer == answer)
			return &job->heard[i];
	return NULL;
}

static void try_checkpoint_bit(struct job *job, struct pd_os *os, uint64_t number)
{
	const struct image_file *file = &job->image.files[job->image.checkpoint_first];
	struct verdict verdict = { 0 };
	uint64_t bit = number, answer;
	struct heard *heard;
	char what[160];
	bool sound;

	for (; bit >= 8 * file->size; file++)
		bit -= 8 * file->size;
	(void)snprintf(what, sizeof what, "%s, byte %" PRIu64 ", bit %u", file->path, bit / 8,
		       (unsigned)(bit % 8));
	flip(os, file->path, bit);
	answer = ask_shelf(job, os, &sound);
	flip(os, file->path, bit);
	heard = find_heard(job, answer);
	if (heard != NULL && !sound && number % CHECKPOINT_OPEN_EVERY != 0) {
		verdict.kind = heard->kind;
	} else {
		open_whole(job, file, bit, &verdict);
		if (heard == NULL && job->heard_count < HEARD_MAX)
			job->heard[job->heard_count++] = (struct heard){ answer, verdict.kind };
	}
	count(&job->shared->distinct, 1);
	settle(job, number, what, &verdict);
}

static void run_checkpoint(struct job *job)
{
	uint64_t bits = 0, every = job->options->every;
	struct pd_os *os = image_machine(&job->image, false);

	for (size_t i = 0; i < job->image.checkpoint_count; i++)
		bits += 8 * job->image.files[job->image.checkpoint_first + i].size;
	job->heard_count = 0;
	if (job->options->part != PART_COUNT)
		try_checkpoint_bit(job, os, job->options->single);
	else
		for (uint64_t bit = job->number * every; bit < bits; bit += every * job->options->jobs)
			try_checkpoint_bit(job, os, bit);
	pd_os_free(os);
}

/* ---- manifest: one bit, and the engine ---- */

static void try_manifest_bit(struct job *job, uint64_t bit)
{
	const struct image_file *file = image_find(&job->image, "data/MANIFEST");
	struct verdict verdict;
	char what[160];

	(void)snprintf(what, sizeof what, "%s, byte %" PRIu64 ", bit %u", file->path, bit / 8,
		       (unsigned)(bit % 8));
	open_whole(job, file, bit, &verdict);
	count(&job->shared->distinct, 1);
	settle(job, bit, what, &verdict);
}

static void run_manifest(struct job *job)
{
	uint64_t bits = 8 * image_find(&job->image, "data/MANIFEST")->size;

	if (job->options->part != PART_COUNT)
		try_manifest_bit(job, job->options->single);
	else
		for (uint64_t bit = job->number; bit < bits; bit += job->options->jobs)
			try_manifest_bit(job, bit);
}

/* Without damage the checkpoint takes the place of the levels that are not there: else nothing is tested. */
static void expect_checkpoint(struct job *job)
{
	struct pd_os *os = image_machine(&job->image, false);
	struct verdict verdict;

	judge_engine(os, &job->image, NULL, &verdict);
	if (verdict.kind != OUTCOME_UNSEEN || verdict.failure[0] != '\0')
		report(job, 0, "no damage", verdict.failure[0] != '\0' ? verdict.failure : "it is not used");
	pd_os_free(os);
}

/* ---- large: all kinds ---- */

static void run_large(struct job *job)
{
	uint64_t windows = (job->options->flips + WINDOW_CASES - 1) / WINDOW_CASES;
	bool single = job->options->part != PART_COUNT;
	uint64_t only = job->options->single / WINDOW_CASES;

	for (uint64_t n = single ? only : job->number; n < (single ? only + 1 : windows);
	     n += job->options->jobs) {
		struct chance chance = { n * 7919 + 1 };
		struct window window;

		window_open(&window, &job->image, &job->truth, &chance);
		for (uint64_t i = 0; i < WINDOW_CASES; i++) {
			struct chance own = { chance_next(&chance) };
			uint64_t number = n * WINDOW_CASES + i, key;
			struct verdict verdict;
			char what[160];

			if (single && number != job->options->single)
				continue;
			window_try(&window, &own, &verdict, what, &key);
			count(&job->shared->distinct, see(&job->shared->cases, key));
			settle(job, number, what, &verdict);
		}
		window_close(&window);
	}
}

static void run_whole(struct job *job)
{
	uint64_t sample = 3 + job->options->flips / WHOLE_EVERY;
	bool single = job->options->part != PART_COUNT;

	for (uint64_t n = single ? job->options->single : job->number;
	     n < (single ? job->options->single + 1 : sample); n += job->options->jobs) {
		struct chance chance = { n + 1 };
		uint64_t bit = chance_below(&chance, 8 * job->image.log_bytes);
		const struct image_file *file;
		struct verdict verdict;
		uint32_t segment;
		char what[160];

		file = log_file_at(&job->image, &bit, &segment);
		(void)snprintf(what, sizeof what, "segment %u, byte %" PRIu64 ", bit %u", segment, bit / 8,
			       (unsigned)(bit % 8));
		open_whole(job, file, bit, &verdict);
		expect_known(&verdict);
		count(&job->shared->distinct, 1);
		settle(job, n, what, &verdict);
	}
}

/* ---- processes ---- */

static bool wanted(const struct options *options, enum part part)
{
	return options->part == PART_COUNT || options->part == part;
}

static void run_state(struct job *job, enum part part, enum image_kind kind)
{
	job->part = part;
	if (!wanted(job->options, part))
		return;
	image_make(&job->image, kind, STATE_BYTES, LOG_SEGMENT, 3);
	if (job->number == 0)
		expect_checkpoint(job);
	run_checkpoint(job);
	image_done(&job->image);
}

static void run_reference(struct job *job)
{
	if (!wanted(job->options, PART_LOG) && !wanted(job->options, PART_MANIFEST))
		return;
	image_make(&job->image, IMAGE_LOG, LOG_BYTES, LOG_SEGMENT, 1);
	truth_make(&job->truth, &job->image);
	job->part = PART_LOG;
	if (wanted(job->options, PART_LOG))
		run_log(job);
	job->part = PART_MANIFEST;
	if (wanted(job->options, PART_MANIFEST))
		run_manifest(job);
	truth_done(&job->truth);
	image_done(&job->image);
}

static void run_job(void *argument, unsigned number)
{
	struct job *job = argument;

	job->number = number;
	(void)mallopt(M_MMAP_THRESHOLD, 1 << 30);
	(void)mallopt(M_TRIM_THRESHOLD, 1 << 30);
	run_reference(job);
	run_state(job, PART_CHECKPOINT, IMAGE_CHECKPOINT);
	run_state(job, PART_TRIMMED, IMAGE_TRIMMED);
}

static void run_large_job(void *argument, unsigned number)
{
	struct job *job = argument;

	job->number = number;
	job->part = PART_LARGE;
	if (wanted(job->options, PART_LARGE))
		run_large(job);
	job->part = PART_WHOLE;
	if (wanted(job->options, PART_WHOLE))
		run_whole(job);
}

static void job_broke(void *argument, unsigned number, const char *what)
{
	struct job *job = argument;

	(void)number;
	(void)printf("%s\n", what);
	count(&job->shared->failed, 1);
}

/* ---- options ---- */

static _Noreturn void usage(const char *wrong)
{
	(void)fprintf(
		stderr,
		"rot: what is '%s'?\n"
		"usage: rot [--every N] [--flips N] [--large MIB] [--jobs J]\n"
		"       rot --part log|manifest|checkpoint|trimmed|large|whole --case N [--large MIB]\n",
		wrong);
	exit(2);
}

static uint64_t number(const char *name, const char *text)
{
	char *end;
	uint64_t value = text == NULL ? 0 : strtoull(text, &end, 10);

	if (text == NULL || *text == '\0' || *end != '\0')
		usage(text != NULL ? text : name);
	return value;
}

static enum part parse_part(const char *name)
{
	for (unsigned i = 0; name != NULL && i < PART_COUNT; i++)
		if (strcmp(name, part_names[i]) == 0)
			return (enum part)i;
	usage(name != NULL ? name : "--part");
}

static struct options parse_options(int argc, char **argv)
{
	struct options options = { .every = 1, .flips = 100000, .large_mib = 256, .part = PART_COUNT };

	options.jobs = jobs_default();
	for (int i = 1; i < argc; i += 2) {
		const char *name = argv[i], *value = i + 1 < argc ? argv[i + 1] : NULL;

		if (strcmp(name, "--every") == 0)
			options.every = number(name, value);
		else if (strcmp(name, "--flips") == 0)
			options.flips = number(name, value);
		else if (strcmp(name, "--large") == 0)
			options.large_mib = number(name, value);
		else if (strcmp(name, "--jobs") == 0)
			options.jobs = (unsigned)number(name, value);
		else if (strcmp(name, "--part") == 0)
			options.part = parse_part(value);
		else if (strcmp(name, "--case") == 0)
			options.single = number(name, value);
		else
			usage(name);
	}
	if (options.part != PART_COUNT)
		options.jobs = 1;
	if (options.jobs == 0 || options.jobs > JOBS_MAX || options.every == 0 || options.large_mib == 0)
		usage("that number");
	return options;
}

static int print_totals(const struct options *options, const struct shared *shared, double seconds)
{
	uint64_t tried = 0, failed = shared->failed;

	for (unsigned part = 0; part < PART_COUNT; part++) {
		tried += shared->tried[part];
		if (shared->tried[part] > 0)
			(void)printf("%-10s  %" PRIu64 " cases\n", part_names[part], shared->tried[part]);
	}
	for (unsigned kind = 0; kind < OUTCOME_COUNT; kind++)
		(void)printf("%-33s  %" PRIu64 "\n", outcome_names[kind], shared->outcomes[kind]);
	(void)printf("of the %" PRIu64 " cases in the log of %" PRIu64
		     " MiB only the segments concerned were read, %" PRIu64 " were opened whole\n",
		     shared->tried[PART_LARGE], options->large_mib, shared->tried[PART_WHOLE]);
	(void)printf("%" PRIu64 " cases, %" PRIu64 " distinct, in %.1f s: %.0f cases/s; %" PRIu64
		     " different answers, engine opened %" PRIu64 " times; %" PRIu64
		     " records lost and named, %" PRIu64 " losses of unknown actors; %" PRIu64
		     " violations\n",
		     tried, shared->distinct, seconds, (double)tried / (seconds > 0 ? seconds : 1),
		     shared->answers.count, shared->opened, shared->lost, shared->unknown, failed);
	(void)printf("%" PRIu64 " passed, %" PRIu64 " failed\n", tried > failed ? tried - failed : 0, failed);
	return failed > 0 || tried == 0 ? 1 : 0;
}

int main(int argc, char **argv)
{
	struct options options = parse_options(argc, argv);
	struct shared *shared = jobs_share(sizeof *shared);
	struct job job = { .options = &options, .shared = shared };
	double started = now_s();

	seen_init(&shared->answers, SET_ENTRIES);
	seen_init(&shared->cases, SET_ENTRIES);
	jobs_run(&(struct jobs){ options.jobs, run_job, job_broke, &job });
	if (wanted(&options, PART_LARGE) || wanted(&options, PART_WHOLE)) {
		uint64_t bytes = options.large_mib * 1024 * 1024;
		uint32_t segment = bytes >= 64 * (uint64_t)LARGE_SEGMENT ? LARGE_SEGMENT : LARGE_SEGMENT / 4;

		/* Made once, before the processes that damage their own parts of it. */
		image_make(&job.image, IMAGE_LOG, bytes, segment, 2);
		truth_make(&job.truth, &job.image);
		jobs_run(&(struct jobs){ options.jobs, run_large_job, job_broke, &job });
		truth_done(&job.truth);
		image_done(&job.image);
	}
	return print_totals(&options, shared, now_s() - started);
}
