/* Crash states of a real process (after ALICE, Pillai et al., OSDI 2014): a process runs a workload while record.c writes
 * down every call that changes its files; every image that a power cut could have left of them is then put on a disk in
 * memory, opened with the production code, and compared with what had been promised by then. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "explore.h"
#include "must.h"
#include "record.h"
#include "sim/chance.h"

/* Images of one trace; the next trace is of another seed. */
#define IMAGES_A_TRACE 6000u

struct options {
	const struct workload *only; /* NULL: each in turn */
	uint64_t seed;
	size_t count;
	unsigned size, jobs;
	struct disk_lie lie;
	unsigned models; /* 0: the workload's */
	bool expect_violation;
	const char *traces; /* where those of violations are kept */
	const char *work;   /* a directory in it, where processes are recorded */
	const char *trace;  /* check this one only */
	const char *image, *keep;
	char scratch[PATH_MAX];
	char program[PATH_MAX];
};

static const char *const lie_names[] = { "", "file", "directory", "all" };

struct totals {
	size_t traces, calls, images, opened, violations;
};

static void __attribute__((noreturn)) usage(void)
{
	fprintf(stderr,
		"states [WORKLOAD] [--count N] [--seed S] [--size N] [--jobs N] [--model "
		"ordered|lenient|free|posix]\n"
		"       [--lie file|directory|all [--lie-on PATTERN]] [--expect-violation] [--traces DIR]\n"
		"       [--trace FILE [--image TEXT [--keep DIR]]]\n"
		"Workloads:");
	for (size_t i = 0; workloads[i] != NULL; i++)
		fprintf(stderr, " %s", workloads[i]->name);
	fprintf(stderr, "\n");
	exit(2);
}

static const struct workload *find_workload(const char *name)
{
	for (size_t i = 0; workloads[i] != NULL; i++)
		if (strcmp(workloads[i]->name, name) == 0)
			return workloads[i];
	die("there is no workload '%s'", name);
}

/* They test the harness, and run only when asked for. */
static bool is_toy(const struct workload *workload)
{
	return strncmp(workload->name, "toy", 3) == 0;
}

/* ---- recording ---- */

/* Only in the process under test. */
static int run_workload(char **arguments)
{
	struct workload_options options = { .seed = strtoull(arguments[2], NULL, 10),
					    .size = (unsigned)strtoul(arguments[3], NULL, 10) };

	if (pd_record_mark == NULL)
		die("nobody records: preload record.c's library");
	find_workload(arguments[0])->run(&options, arguments[1]);
	return 0;
}

/* The library stands beside the program. */
static void record(const struct options *options, const struct workload *workload, uint64_t seed,
		   const char *directory, const char *trace)
{
	char seed_text[32], size_text[32], program_copy[PATH_MAX], *library;
	int status = 0;
	pid_t process;

	snprintf(seed_text, sizeof seed_text, "%" PRIu64, seed);
	snprintf(size_text, sizeof size_text, "%u", options->size);
	snprintf(program_copy, sizeof program_copy, "%s", options->program);
	library = must_print("%s/librecord.so", dirname(program_copy));
	if (access(library, R_OK) != 0)
		die("'%s' is not there", library);
	fflush(stdout);
	process = fork();
	if (process < 0)
		die("cannot fork: %s", strerror(errno));
	if (process == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		setenv("LD_PRELOAD", library, 1);
		setenv(RECORD_DIRECTORY_VARIABLE, directory, 1);
		setenv(RECORD_TRACE_VARIABLE, trace, 1);
		execl(options->program, options->program, "run", workload->name, directory, seed_text,
		      size_text, (char *)NULL);
		die("cannot run '%s': %s", options->program, strerror(errno));
	}
	if (waitpid(process, &status, 0) != process || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
		die("the workload '%s' failed with seed %" PRIu64, workload->name, seed);
	free(library);
}

/* ---- one trace ---- */

static void report(const struct options *options, const struct explore_options *explore, const char *trace,
		   const struct findings *findings)
{
	for (size_t i = 0; i < findings->violations && i < EXPLORE_VIOLATIONS_MAX; i++) {
		char image[IMAGE_TEXT_SIZE];

		image_format(&findings->first[i].image, image);
		printf("VIOLATION: %s\n    repeat: %s %s --seed %" PRIu64
		       " --size %u --trace %s%s%s%s%s --image %s\n",
		       findings->first[i].text, options->program, explore->workload->name,
		       explore->given.seed, explore->given.size, trace,
		       options->lie.kinds != 0 ? " --lie " : "", lie_names[options->lie.kinds],
		       options->lie.on != NULL ? " --lie-on " : "",
		       options->lie.on != NULL ? options->lie.on : "", image);
		if (options->expect_violation)
			break;
	}
}

static struct explore_options explore_options_of(const struct options *options,
						 const struct workload *workload, uint64_t seed,
						 const struct trace *trace, const char *base, size_t count)
{
	struct stat info;

	return (struct explore_options){ .workload = workload,
					 .given = { .seed = seed, .size = options->size },
					 .trace = trace,
					 .base = base != NULL && stat(base, &info) == 0 ? base : NULL,
					 .scratch = options->scratch,
					 .seed = seed,
					 .count = count,
					 .jobs = options->jobs,
					 .models = options->models != 0 ? options->models : workload->models,
					 .lie = options->lie,
					 .timeout_s = 60 };
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Explore a trace. *ret_image: one of the images. */
static void explore(const struct options *options, const struct explore_options *explore,
		    const char *trace_path, struct totals *totals, struct image *ret_image)
{
	struct findings findings = { .opened = 0 };
	struct images images = { .count = 0 };
	double start = seconds(), found;

	explore_find(explore, &images);
	found = seconds();
	explore_check(explore, &images, &findings);
	printf("%s seed %" PRIu64
	       "%s: %zu calls recorded, %zu distinct images in %.1f s, %zu opened in %.1f s, "
	       "%zu violations\n",
	       explore->workload->name, explore->given.seed, explore->base != NULL ? " again" : "",
	       explore->trace->step_count, images.count, found - start, findings.opened, seconds() - found,
	       findings.violations);
	report(options, explore, trace_path, &findings);
	fflush(stdout);
	totals->traces++;
	totals->calls += explore->trace->step_count;
	totals->images += images.count;
	totals->opened += findings.opened;
	totals->violations += findings.violations;
	if (images.count == 0)
		die("the trace has no image");
	*ret_image = images.items[chance_below(&(struct chance){ explore->seed }, images.count)];
	images_done(&images);
}

/* What a process is recorded for: in an empty directory, or, after a crash, in an image. */
struct session {
	const struct workload *workload;
	uint64_t seed;
	size_t count;
	char *directory, *trace, *base; /* base: NULL for an empty one */
	char *kept_trace, *kept_base;   /* where they go when there was a violation */
};

/* Record and explore; one of the images is where the next session begins. */
static void run_session(const struct options *options, const struct session *session, struct totals *totals,
			const struct session *next)
{
	struct explore_options given;
	struct image image;
	struct trace trace;

	(void)unlink(session->trace);
	record(options, session->workload, session->seed, session->directory, session->trace);
	trace_load(&trace, session->trace, session->workload->ignored);
	given = explore_options_of(options, session->workload, session->seed, &trace, session->base,
				   session->count);
	if (!explore_compare(&given, session->directory))
		die("the trace of '%s' is not all that the process did", session->workload->name);
	explore(options, &given, session->kept_trace, totals, &image);
	if (next != NULL) {
		explore_write(&given, &image, next->base);
		explore_write(&given, &image, next->directory);
	}
	trace_done(&trace);
}

static void session_init(struct session *session, const struct options *options,
			 const struct workload *workload, uint64_t seed, size_t count, bool again)
{
	*session = (struct session){ .workload = workload, .seed = seed, .count = count };
	session->directory = must_print("%s/recorded%s", options->work, again ? "-again" : "");
	session->trace = must_print("%s/trace%s", options->work, again ? "-again" : "");
	session->kept_trace = must_print("%s/%s-%" PRIu64 "%s.trace", options->traces, workload->name, seed,
					 again ? "-again" : "");
	explore_remove_tree(session->directory);
	if (!again)
		return;
	session->base = must_print("%s.base", session->trace);
	session->kept_base = must_print("%s.base", session->kept_trace);
	explore_remove_tree(session->base);
}

static void session_done(struct session *session, bool keep)
{
	explore_remove_tree(session->directory);
	if (keep && rename(session->trace, session->kept_trace) != 0)
		die("cannot make '%s': %s", session->kept_trace, strerror(errno));
	if (keep && session->base != NULL) {
		explore_remove_tree(session->kept_base);
		if (rename(session->base, session->kept_base) != 0)
			die("cannot make '%s': %s", session->kept_base, strerror(errno));
	}
	free(session->directory);
	free(session->trace);
	free(session->base);
	free(session->kept_trace);
	free(session->kept_base);
}

/* A trace from an empty directory, and one that goes on from an image of it: crashes within recovery. */
static void explore_seed(const struct options *options, const struct workload *workload, uint64_t seed,
			 size_t count, struct totals *totals)
{
	bool again = workload->goes_on && options->lie.kinds == 0 && count >= 100, keep;
	size_t before = totals->violations;
	struct session first, second;

	session_init(&first, options, workload, seed, again ? count - count / 4 : count, false);
	session_init(&second, options, workload, seed, count / 4, true);
	if (mkdir(first.directory, 0700) != 0)
		die("cannot make '%s': %s", first.directory, strerror(errno));
	run_session(options, &first, totals, again ? &second : NULL);
	again = again && totals->violations == before;
	if (again)
		run_session(options, &second, totals, NULL);
	keep = totals->violations > before && !options->expect_violation;
	session_done(&first, keep && !again);
	session_done(&second, keep && again);
}

/* Trace after trace until there are as many images as wanted. */
static void explore_workload(const struct options *options, const struct workload *workload,
			     struct totals *totals)
{
	struct totals mine = { .traces = 0 };

	for (uint64_t round = 0; mine.images < options->count; round++) {
		size_t before = mine.images, left = options->count - mine.images;

		explore_seed(options, workload, options->seed + round,
			     left < IMAGES_A_TRACE ? left : IMAGES_A_TRACE, &mine);
		if (options->expect_violation && mine.violations > 0)
			break;
		/* One that does not depend on its seed has no more to show. */
		if (mine.images == before || is_toy(workload))
			break;
	}
	printf("%s: %zu traces, %zu calls recorded, %zu distinct images, %zu opened, %zu violations\n",
	       workload->name, mine.traces, mine.calls, mine.images, mine.opened, mine.violations);
	totals->violations += mine.violations;
}

static int explore_all(const struct options *options)
{
	struct totals totals = { .traces = 0 };

	for (size_t i = 0; workloads[i] != NULL; i++)
		if (options->only != NULL ? workloads[i] == options->only : !is_toy(workloads[i]))
			explore_workload(options, workloads[i], &totals);
	if (options->expect_violation)
		return totals.violations > 0 ? 0 : 1;
	return totals.violations > 0 ? 1 : 0;
}

/* A trace that was kept: all of it, or one image. */
static int explore_kept(const struct options *options)
{
	char *base = must_print("%s.base", options->trace);
	struct totals totals = { .traces = 0 };
	struct explore_options explore_given;
	struct trace trace;
	struct image image;
	bool sound;

	if (options->only == NULL)
		die("whose trace is it? Name the workload");
	trace_load(&trace, options->trace, options->only->ignored);
	explore_given = explore_options_of(options, options->only, options->seed, &trace, base,
					   options->count);
	if (options->image == NULL) {
		explore(options, &explore_given, options->trace, &totals, &image);
		sound = totals.violations == 0;
	} else {
		if (!image_parse(options->image, &image) || image.crash > trace.step_count)
			die("'%s' is no image", options->image);
		sound = explore_one(&explore_given, &image, options->keep);
	}
	trace_done(&trace);
	free(base);
	return sound ? 0 : 1;
}

/* ---- options ---- */

static uint64_t number_of(const char *text)
{
	char *end;
	uint64_t number = strtoull(text, &end, 10);

	if (*text == '\0' || *end != '\0')
		die("'%s' is no number", text);
	return number;
}

static void parse_value(struct options *options, const char *option, const char *value)
{
	if (strcmp(option, "--count") == 0)
		options->count = number_of(value);
	else if (strcmp(option, "--seed") == 0)
		options->seed = number_of(value);
	else if (strcmp(option, "--size") == 0)
		options->size = (unsigned)number_of(value);
	else if (strcmp(option, "--jobs") == 0)
		options->jobs = (unsigned)number_of(value);
	else if (strcmp(option, "--traces") == 0)
		options->traces = value;
	else if (strcmp(option, "--trace") == 0)
		options->trace = value;
	else if (strcmp(option, "--image") == 0)
		options->image = value;
	else if (strcmp(option, "--lie-on") == 0)
		options->lie.on = value;
	else if (strcmp(option, "--keep") == 0)
		options->keep = value;
	else if (strcmp(option, "--model") == 0) {
		options->models = 0;
		for (unsigned i = 0; i < DISK_MODELS; i++)
			if (strcmp(value, disk_model_names[i]) == 0)
				options->models = 1u << i;
		if (options->models == 0)
			usage();
	} else if (strcmp(option, "--lie") == 0) {
		for (unsigned i = 1; i < 4; i++)
			if (strcmp(value, lie_names[i]) == 0)
				options->lie.kinds = i;
		if (options->lie.kinds == 0)
			usage();
	} else {
		usage();
	}
}

static void parse(struct options *options, int count, char **arguments)
{
	for (int i = 1; i < count; i++) {
		if (strcmp(arguments[i], "--expect-violation") == 0)
			options->expect_violation = true;
		else if (arguments[i][0] != '-')
			options->only = find_workload(arguments[i]);
		else if (i + 1 < count)
			parse_value(options, arguments[i], arguments[i + 1]), i++;
		else
			usage();
	}
	if (options->jobs == 0 || options->jobs > 256 || options->count == 0)
		usage();
}

static void make_directory_of(char pattern[PATH_MAX])
{
	if (mkdtemp(pattern) == NULL)
		die("cannot make '%s': %s", pattern, strerror(errno));
}

/* Images in memory; what is recorded on the disk where the program is, so that direct I/O is as in life. */
static void make_directories(struct options *options, char work[PATH_MAX])
{
	const char *temporary = getenv("TMPDIR");
	ssize_t size = readlink("/proc/self/exe", options->program, sizeof options->program - 1);
	char *program;

	if (size <= 0)
		die("cannot tell where this program is");
	program = must_print("%s", options->program);
	if (options->traces == NULL)
		options->traces = must_print("%s/traces", dirname(program));
	free(program);
	if (mkdir(options->traces, 0700) != 0 && errno != EEXIST)
		die("cannot make '%s': %s", options->traces, strerror(errno));
	(void)snprintf(options->scratch, sizeof options->scratch, "%s/perdure-states.XXXXXX",
		       access("/dev/shm", W_OK) == 0 ? "/dev/shm"
		       : temporary != NULL           ? temporary
						     : "/tmp");
	make_directory_of(options->scratch);
	(void)snprintf(work, PATH_MAX, "%s/work.XXXXXX", options->traces);
	make_directory_of(work);
	options->work = work;
}

int main(int count, char **arguments)
{
	struct options options = { .seed = 1, .count = 50000 };
	char work[PATH_MAX];
	int status = 0;
	pid_t process;

	if (count == 6 && strcmp(arguments[1], "run") == 0)
		return run_workload(arguments + 2);
	options.jobs = (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
	parse(&options, count, arguments);
	make_directories(&options, work);
	/* However the work ends, somebody cleans up. */
	(void)signal(SIGINT, SIG_IGN);
	process = fork();
	if (process == 0) {
		(void)signal(SIGINT, SIG_DFL);
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		exit(options.trace != NULL ? explore_kept(&options) : explore_all(&options));
	}
	if (process < 0 || waitpid(process, &status, 0) != process)
		die("cannot fork: %s", strerror(errno));
	explore_remove_tree(options.scratch);
	explore_remove_tree(work);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 2;
}
