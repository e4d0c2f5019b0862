#include "cli/upkeep.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/admin.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "server/server.h"
#include "wire/resp.h"

#define LOOK_FIRST_US 10000u  /* between two looks at the work: short work is reported at once … */
#define LOOK_LAST_US  250000u /* … and long work is not disturbed */
#define NAME_SIZE     32

static const char *const status_words[] = { "PD.STORE", "STATUS", NULL };

/* What the server says of the work. */
struct job {
	char name[NAME_SIZE], state[NAME_SIZE], result[NAME_SIZE];
	uint64_t done, total, started_us, ended_us, damage_count;
	char text[512];
	struct pd_slice whole; /* the reply, until the next one */
};

struct watch {
	const struct pd_options *options;
	struct pd_upkeep_given given;
	struct pd_os *os;
	struct pd_admin admin;
	struct job job;
	bool attached; /* somebody else started it */
};

static int failed(const struct watch *watch, const char *text)
{
	(void)fprintf(stderr, "%s: %s\n", watch->options->command, text);
	return PD_EXIT_FAILURE;
}

/* ---- what the server says ---- */

static void copy_text(char *to, size_t size, struct pd_slice map, const char *name)
{
	struct pd_slice text = pd_admin_text(map, name);

	(void)snprintf(to, size, "%.*s", (int)(text.size < size ? text.size : size - 1),
		       (const char *)text.data);
}

static void read_job(struct job *job, struct pd_slice map)
{
	*job = (struct job){ .done = pd_admin_number(map, "done_bytes"),
			     .total = pd_admin_number(map, "total_bytes"),
			     .started_us = pd_admin_number(map, "started_us"),
			     .ended_us = pd_admin_number(map, "ended_us"),
			     .damage_count = pd_admin_number(map, "damage_count"),
			     .whole = map };
	copy_text(job->name, sizeof job->name, map, "job");
	copy_text(job->state, sizeof job->state, map, "state");
	copy_text(job->result, sizeof job->result, map, "result");
	copy_text(job->text, sizeof job->text, map, "text");
}

static bool is_running(const struct job *job)
{
	return strcmp(job->state, "running") == 0;
}

static int ask(struct watch *watch, const char *const *words, struct pd_error *err)
{
	struct pd_slice reply;
	int result = pd_admin_ask(&watch->admin, words, &reply, err);

	if (result == 0)
		read_job(&watch->job, reply);
	return result;
}

/* ---- the work ---- */

static int start(struct watch *watch, const struct pd_upkeep_verb *verb, struct pd_error *err)
{
	struct pd_error busy;
	int result = ask(watch, verb->command, err);

	if (result != PD_BUSY)
		return result;
	busy = *err;
	result = ask(watch, status_words, err);
	if (result != 0)
		return result;
	/* The very same work is what was asked for. */
	if (is_running(&watch->job) && strcmp(watch->job.name, verb->job) == 0) {
		watch->attached = true;
		return 0;
	}
	*err = busy;
	return PD_BUSY;
}

static int wait(struct watch *watch, const struct pd_upkeep_verb *verb, struct pd_error *err)
{
	uint64_t started_us = watch->job.started_us, patience_us = LOOK_FIRST_US;
	struct pd_progress progress;
	int result = 0;

	pd_progress_init(&progress, watch->os, verb->doing);
	while (result == 0 && is_running(&watch->job)) {
		pd_progress_show(&progress, watch->job.done, watch->job.total);
		pd_os_sleep_us(watch->os, patience_us);
		patience_us = 2 * patience_us < LOOK_LAST_US ? 2 * patience_us : LOOK_LAST_US;
		result = ask(watch, status_words, err);
		if (result == 0 && watch->job.started_us != started_us)
			result = pd_error_set(err, PD_BUSY,
					      "it has ended, and other work has begun before its result was "
					      "read: the server's own lines have it");
	}
	pd_progress_done(&progress);
	return result;
}

/* ---- the report ---- */

static int exit_status(const struct job *job)
{
	if (job->damage_count > 0 || strcmp(job->result, "CORRUPT") == 0)
		return PD_EXIT_DAMAGED;
	return strcmp(job->state, "failed") == 0 ? PD_EXIT_FAILURE : PD_EXIT_OK;
}

static double seconds_of(const struct job *job)
{
	return job->ended_us > job->started_us ? (double)(job->ended_us - job->started_us) / 1e6 : 0;
}

/* Call `each` for every damaged place that the server has named. */
static void each_damage(const struct job *job, void (*each)(struct pd_output *output, struct pd_slice text),
			struct pd_output *output)
{
	struct pd_slice rest;
	struct pd_reply list;

	if (!pd_reply_field(job->whole, "damage", &rest))
		return;
	list = pd_reply_read(&rest);
	for (size_t i = 0; list.kind == PD_REPLY_LIST && i < list.count; i++)
		each(output, pd_reply_read(&rest).text);
}

static void print_damage(struct pd_output *output, struct pd_slice text)
{
	pd_output_text(output, "DAMAGE ");
	pd_output_escaped(output, text);
	pd_output_text(output, "\n");
}

static void damage_item(struct pd_output *output, struct pd_slice text)
{
	pd_output_bytes_field(output, NULL, text);
}

static void print_running(struct pd_output *output, const struct job *job)
{
	if (job->total == 0)
		pd_output_text(output, "%s is going on\n", job->name);
	else
		pd_output_text(output, "%s is going on: %.0f%%, %.0f of %.0f MiB\n", job->name,
			       100.0 * (double)job->done / (double)job->total,
			       (double)job->done / (1024 * 1024), (double)job->total / (1024 * 1024));
}

static void print_text(struct pd_output *output, const struct job *job)
{
	if (strcmp(job->state, "none") == 0) {
		pd_output_text(output,
			       "nothing is going on, and nothing has been since the server started\n");
		return;
	}
	if (is_running(job)) {
		print_running(output, job);
		return;
	}
	each_damage(job, print_damage, output);
	pd_output_text(output, "%s %s after %.1f s%s", job->name, job->state, seconds_of(job),
		       job->text[0] != '\0' ? ": " : "");
	pd_output_escaped(output, pd_slice_string(job->text));
	pd_output_text(output, "\n");
	if (job->damage_count > 0)
		pd_output_text(output, "%" PRIu64 " %s damaged\n", job->damage_count,
			       job->damage_count == 1 ? "place is" : "places are");
	else if (strcmp(job->name, "verify-store") == 0 && strcmp(job->state, "done") == 0)
		pd_output_text(output, "no damage\n");
}

static void print_json(struct pd_output *output, const struct watch *watch, int status)
{
	const struct job *job = &watch->job;

	pd_output_open(output, NULL, '{');
	pd_output_string_field(output, "data", watch->given.data);
	pd_output_string_field(output, "job", job->name);
	pd_output_string_field(output, "state", job->state);
	pd_output_number_field(output, "done_bytes", job->done);
	pd_output_number_field(output, "total_bytes", job->total);
	if (job->started_us > 0)
		pd_output_time_field(output, "started", job->started_us);
	if (job->ended_us > 0) {
		pd_output_time_field(output, "ended", job->ended_us);
		pd_output_real_field(output, "seconds", seconds_of(job));
	}
	pd_output_string_field(output, "result", job->result);
	pd_output_string_field(output, "text", job->text);
	pd_output_number_field(output, "damage_count", job->damage_count);
	pd_output_open(output, "damage", '[');
	each_damage(job, damage_item, output);
	pd_output_close(output, ']');
	pd_output_number_field(output, "exit_status", (uint64_t)status);
	pd_output_close(output, '}');
	pd_output_end(output);
}

static int report(struct watch *watch)
{
	struct pd_output output = { .file = stdout };
	int status = exit_status(&watch->job);

	if (watch->given.json)
		print_json(&output, watch, status);
	else
		print_text(&output, &watch->job);
	if (!pd_output_finish(&output) && status == PD_EXIT_OK)
		status = PD_EXIT_FAILURE;
	return status;
}

/* ---- the runs ---- */

/* With a verb: do it; without: look at what is there. */
static int run(struct watch *watch, const struct pd_upkeep_verb *verb)
{
	struct pd_error err = { 0 };
	int result, status;

	if (pd_os_real_new(&watch->os, &err) != 0)
		return failed(watch, err.text);
	result = pd_admin_open(&watch->admin, watch->os, watch->given.data, &err);
	if (result == 0)
		result = verb != NULL ? start(watch, verb, &err) : ask(watch, status_words, &err);
	if (result == 0 && watch->attached)
		(void)fprintf(stderr, "%s: this is going on already; waiting for it\n",
			      watch->options->command);
	if (result == 0 && verb != NULL && !watch->given.no_wait)
		result = wait(watch, verb, &err);
	status = result == 0 ? report(watch) : failed(watch, err.text);
	pd_admin_close(&watch->admin);
	pd_os_free(watch->os);
	return status;
}

int pd_upkeep_verb_run(const struct pd_upkeep_verb *verb, int argc, char **argv)
{
	struct watch watch = { .options = verb->options, .given = { .data = "./data" } };
	int status;

	if (!pd_options_take(verb->options, argc, argv, &watch.given, &status))
		return status;
	return run(&watch, verb);
}

int pd_upkeep_status_run(const struct pd_options *options, int argc, char **argv)
{
	struct watch watch = { .options = options, .given = { .data = "./data" } };
	int status;

	if (!pd_options_take(options, argc, argv, &watch.given, &status))
		return status;
	return run(&watch, NULL);
}
