/* An order for several actors: what was said, the moment, the plan, and what is printed. */
#include "cli/actor_bulk.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "cli/past.h"
#include "cli/reply.h"
#include "server/server.h"

#define PLAN_NAMES 10u /* that a plan tells; a dry run tells all */

/* ---- what was said ---- */

bool pd_bulk_is_asked(const struct pd_bulk_given *given)
{
	return given->all || given->tenant != NULL || given->match != NULL;
}

/* How several were named. */
static const char *selector(const struct pd_bulk_given *given)
{
	return given->all ? "--all" : given->tenant != NULL ? "--tenant" : "--match";
}

static bool wrong_words(const struct pd_options *options, const struct pd_bulk_given *bulk,
			const char *unexpected, int *ret_status)
{
	if (unexpected == NULL)
		return false;
	if (pd_bulk_is_asked(bulk))
		*ret_status = pd_options_wrong(
			options,
			"unexpected word \"%s\": %s says which actors. One of a tenant is "
			"TENANT/NAME",
			unexpected, selector(bulk));
	else
		*ret_status = pd_options_wrong(options,
					       "unexpected word \"%s\"; several actors are taken with "
					       "--match",
					       unexpected);
	return true;
}

bool pd_bulk_take(const struct pd_options *options, int argc, char **argv, void *given,
		  const struct pd_bulk_given *bulk, const char *wanted, const char **ret_name,
		  const char **ret_operand, int *ret_status)
{
	const char *word;
	int operand = argc;

	if (!pd_options_begin(options, argc, argv, given, &operand, ret_status))
		return false;
	if (bulk->all && bulk->match != NULL) {
		*ret_status = pd_options_wrong(options, "all, or those that match? Say --all or --match");
		return false;
	}
	if (!pd_bulk_is_asked(bulk)) {
		*ret_name = operand < argc ? argv[operand++] : "";
		if ((*ret_name)[0] == '\0') {
			*ret_status = pd_options_wrong(
				options,
				"which actor? 'perdure actor ls' lists them; --all, --tenant and --match "
				"take several");
			return false;
		}
	}
	if (wanted != NULL) {
		word = operand < argc ? argv[operand++] : NULL;
		if ((word == NULL || word[0] == '\0') && wanted[0] != '\0') {
			*ret_status = pd_options_wrong(options, "%s", wanted);
			return false;
		}
		*ret_operand = word;
	}
	return !wrong_words(options, bulk, operand < argc ? argv[operand] : NULL, ret_status);
}

/* ---- the moment ---- */

bool pd_bulk_is_pinned(const struct pd_bulk *bulk)
{
	static const char snapshot[] = "snapshot:";

	return bulk->has_moment &&
	       (bulk->at == NULL || strncasecmp(bulk->at, snapshot, sizeof snapshot - 1) != 0);
}

static void copy_text(char *to, size_t size, struct pd_slice text)
{
	(void)snprintf(to, size, "%.*s", (int)(text.size < size ? text.size : size - 1),
		       text.size > 0 ? (const char *)text.data : "");
}

/* From here on a bookmark is meant: that of -10m or now is another one for each who asks. */
static int pin_moment(struct pd_bulk *bulk, struct pd_cli_past *past, struct pd_error *err)
{
	bool pinned = pd_bulk_is_pinned(bulk);
	const char *words[] = { "MOMENT", pinned && bulk->at != NULL ? bulk->at : "now", NULL };
	char nothing[PD_BOOKMARK_SIZE];
	struct pd_slice reply;
	int result;

	if (!bulk->has_moment)
		return 0;
	result = pd_cli_past_ask(past, words, &reply, err);
	if (result != 0)
		return result;
	copy_text(bulk->before, sizeof bulk->before, pd_admin_text(reply, "newest"));
	if (!pinned)
		return 0;
	copy_text(bulk->bookmark, sizeof bulk->bookmark, pd_admin_text(reply, "at"));
	copy_text(bulk->time, sizeof bulk->time, pd_admin_text(reply, "at_time"));
	/* Before everything there is no epoch, and so no bookmark. */
	pd_bookmark_format(0, 0, 0, nothing);
	bulk->at = strcmp(bulk->bookmark, nothing) == 0 ? "0" : bulk->bookmark;
	return 0;
}

/* ---- one of them ---- */

int pd_bulk_ask(const struct pd_bulk *bulk, struct pd_cli_past *past, struct pd_slice name,
		struct pd_bulk_result *result, struct pd_error *err)
{
	struct pd_slice words[8] = { pd_slice_string("PD.ACTOR"), pd_slice_string(bulk->verb), name };
	struct pd_slice reply;
	size_t count = 3;
	int code;

	if (bulk->operand != NULL)
		words[count++] = pd_slice_string(bulk->operand);
	if (bulk->at != NULL) {
		words[count++] = pd_slice_string("AT");
		words[count++] = pd_slice_string(bulk->at);
	}
	for (size_t i = 0; i < 2 && bulk->tail[i] != NULL; i++)
		words[count++] = pd_slice_string(bulk->tail[i]);
	code = pd_admin_ask_slices(&past->admin, words, count, &reply, err);
	if (code == 0 && pd_buffer_append_slice(&result->reply, reply) != 0)
		code = pd_error_set(err, PD_NO_MEMORY,
				    "it is done, but there is no memory for what the server says of it");
	return code;
}

static const char *outcome_name(enum pd_bulk_outcome outcome)
{
	static const char *const names[] = { "done", "unchanged", "skipped", "failed", "abandoned" };

	return names[outcome];
}

static void print_json(const struct pd_bulk *bulk, struct pd_slice name, const struct pd_bulk_result *result)
{
	struct pd_output output = { .file = stdout };

	(void)bulk;
	pd_output_open(&output, NULL, '{');
	pd_output_bytes_field(&output, "actor", name);
	pd_output_string_field(&output, "outcome", outcome_name(result->outcome));
	if (result->reply.size > 0)
		pd_reply_print_field(&output, "result", pd_buffer_slice(&result->reply));
	if (result->err.text[0] != '\0')
		pd_output_string_field(&output, "error", result->err.text);
	pd_output_close(&output, '}');
	pd_output_end(&output);
}

static bool is_well(const struct pd_bulk_result *result)
{
	return result->outcome == PD_BULK_DONE || result->outcome == PD_BULK_UNCHANGED;
}

bool pd_bulk_tells(const struct pd_bulk *bulk, const struct pd_bulk_result *result)
{
	return bulk->json || !is_well(result) || (bulk->given->dry_run && result->reply.size > 0);
}

void pd_bulk_print(const struct pd_bulk *bulk, struct pd_slice name, const struct pd_bulk_result *result)
{
	bool told = is_well(result);
	struct pd_output output = { .file = told ? stdout : stderr };

	if (bulk->json) {
		print_json(bulk, name, result);
		return;
	}
	if (told) {
		bulk->print(&output, pd_buffer_slice(&result->reply));
		return;
	}
	pd_output_text(&output, "%s: ", bulk->options->command);
	pd_output_word(&output, name);
	pd_output_text(&output, ": ");
	pd_output_lax(&output, pd_slice_string(result->err.text));
	pd_output_text(&output, result->outcome == PD_BULK_SKIPPED ? ": left as it is\n" : "\n");
}

/* ---- all of them ---- */

static void print_moment(const struct pd_bulk *bulk, struct pd_output *output)
{
	if (!bulk->has_moment)
		return;
	pd_output_text(output, " as of ");
	if (bulk->bookmark[0] != '\0')
		pd_output_text(output, "%s (%s)", bulk->time, bulk->at);
	else
		pd_output_lax(output, pd_slice_string(bulk->at));
}

static void print_count(struct pd_output *output, uint64_t count, const char *what, const char **before)
{
	if (count == 0)
		return;
	pd_output_text(output, "%s%" PRIu64 " %s", *before, count, what);
	*before = ", ";
}

static void print_summary_json(const struct pd_bulk *bulk, uint64_t total,
			       const struct pd_bulk_counts *counts)
{
	struct pd_output output = { .file = stdout };

	pd_output_open(&output, NULL, '{');
	pd_output_open(&output, "summary", '{');
	pd_output_number_field(&output, "actors", total);
	pd_output_bool_field(&output, "dry_run", bulk->given->dry_run);
	for (int i = 0; i < PD_BULK_OUTCOMES; i++)
		pd_output_number_field(&output, outcome_name((enum pd_bulk_outcome)i), counts->of[i]);
	pd_output_number_field(&output, "not_begun", counts->not_begun);
	if (bulk->bookmark[0] != '\0') {
		pd_output_string_field(&output, "at", bulk->at);
		pd_output_string_field(&output, "at_time", bulk->time);
	}
	if (bulk->before[0] != '\0')
		pd_output_string_field(&output, "before", bulk->before);
	pd_output_number_field(&output, "elapsed_ms", counts->elapsed_us / 1000);
	pd_output_close(&output, '}');
	pd_output_close(&output, '}');
	pd_output_end(&output);
}

/* How to go on, and how to go back. */
static void print_advice(const struct pd_bulk *bulk, const struct pd_bulk_counts *counts,
			 struct pd_output *output)
{
	if (counts->interrupted && pd_bulk_is_pinned(bulk))
		pd_output_text(output, "interrupted: the same with --at %s goes on\n", bulk->at);
	else if (counts->interrupted)
		pd_output_text(output, "interrupted: the same again goes on\n");
	if (bulk->needs_yes && bulk->has_moment && !bulk->given->dry_run && counts->of[PD_BULK_DONE] > 0)
		pd_output_text(output, "as they were before it: the same with --at %s\n", bulk->before);
}

static void print_summary(const struct pd_bulk *bulk, uint64_t total, const struct pd_bulk_counts *counts)
{
	struct pd_output output = { .file = stdout };
	double elapsed_s = (double)counts->elapsed_us / 1e6;
	uint64_t served = counts->of[PD_BULK_DONE] + counts->of[PD_BULK_UNCHANGED];
	const char *before = ": ";
	char done[64];

	if (bulk->json) {
		print_summary_json(bulk, total, counts);
		return;
	}
	(void)snprintf(done, sizeof done, "%s%s", bulk->given->dry_run ? "would be " : "", bulk->done);
	pd_output_text(&output, "%" PRIu64 " actor%s", total, total == 1 ? "" : "s");
	print_moment(bulk, &output);
	print_count(&output, counts->of[PD_BULK_DONE], done, &before);
	print_count(&output, counts->of[PD_BULK_UNCHANGED], "so already", &before);
	print_count(&output, counts->of[PD_BULK_SKIPPED], "not there then", &before);
	print_count(&output, counts->of[PD_BULK_FAILED], "failed", &before);
	print_count(&output, counts->of[PD_BULK_ABANDONED], "under way", &before);
	print_count(&output, counts->not_begun, "not begun", &before);
	pd_output_text(&output, ", in %.1f s (%.0f a second)\n", elapsed_s,
		       elapsed_s > 0 ? (double)served / elapsed_s : 0);
	print_advice(bulk, counts, &output);
}

/* ---- the plan ---- */

static void print_names(const struct pd_bulk *bulk, const struct pd_actor_names *names)
{
	struct pd_bulk_result result = { .outcome = PD_BULK_DONE };
	struct pd_output output = { .file = stdout };

	for (size_t i = 0; i < names->count && !ferror(stdout); i++) {
		if (bulk->json) {
			print_json(bulk, pd_actor_names_at(names, i), &result);
			continue;
		}
		pd_output_word(&output, pd_actor_names_at(names, i));
		pd_output_text(&output, "\n");
	}
}

/* Nothing is done: who has mistaken a pattern sees it here. */
static int refuse(const struct pd_bulk *bulk, const struct pd_actor_names *names)
{
	struct pd_output output = { .file = stdout };
	size_t told = names->count < PLAN_NAMES ? names->count : PLAN_NAMES;

	pd_output_text(&output, "%zu actor%s would be %s", names->count, names->count == 1 ? "" : "s",
		       bulk->done);
	print_moment(bulk, &output);
	for (size_t i = 0; i < told; i++) {
		pd_output_text(&output, i == 0 ? ": " : ", ");
		pd_output_word(&output, pd_actor_names_at(names, i));
	}
	if (told < names->count)
		pd_output_text(&output, " and %zu more", names->count - told);
	pd_output_text(&output, "\n");
	if (!pd_output_finish(&output))
		return PD_EXIT_FAILURE;
	return pd_options_wrong(
		bulk->options,
		"nothing was done: say --yes to do it to several, or --dry-run to see more of it");
}

static int nobody(const struct pd_bulk *bulk, struct pd_error *err)
{
	const struct pd_bulk_given *given = bulk->given;

	return pd_error_set(
		err, PD_NOT_FOUND,
		"no actor of tenant '%.100s' %s%.100s%s; 'perdure actor ls --tenant %.100s' lists them",
		given->tenant != NULL ? given->tenant : "default",
		given->match != NULL ? "matches '" : "is there", given->match != NULL ? given->match : "",
		given->match != NULL ? "'" : "", given->tenant != NULL ? given->tenant : "default");
}

/* ---- from the beginning ---- */

/* The names are known. */
static int carry_out(struct pd_bulk *bulk, struct pd_cli_past *past, const struct pd_actor_names *names,
		     int *ret_status, struct pd_error *err)
{
	struct pd_bulk_counts counts = { 0 };
	int result = names->count == 0 ? nobody(bulk, err) : pin_moment(bulk, past, err);

	if (result != 0)
		return result;
	if (bulk->needs_yes && !bulk->given->yes && !bulk->given->dry_run) {
		*ret_status = refuse(bulk, names);
		return 0;
	}
	if (bulk->given->dry_run && !bulk->dry_run_asks) {
		print_names(bulk, names);
		counts.of[PD_BULK_DONE] = names->count;
	} else {
		result = pd_bulk_work(bulk, past, names, &counts, err);
	}
	if (result != 0)
		return result;
	print_summary(bulk, names->count, &counts);
	if (counts.of[PD_BULK_FAILED] + counts.of[PD_BULK_ABANDONED] + counts.not_begun > 0)
		*ret_status = PD_EXIT_FAILURE;
	return 0;
}

int pd_bulk_open(const struct pd_bulk *bulk, struct pd_cli_past *past)
{
	const char *hello[] = { "HELLO", "3", NULL };
	struct pd_slice reply;
	struct pd_error err = { 0 };
	int status;

	if (bulk->list != NULL) {
		*past = (struct pd_cli_past){ 0 };
		pd_link_init(&past->admin.link);
		if (pd_os_real_new(&past->admin.os, &err) == 0)
			return PD_EXIT_OK;
		(void)fprintf(stderr, "%s: %s\n", bulk->options->command, err.text);
		return PD_EXIT_FAILURE;
	}
	if (bulk->reads)
		return pd_cli_past_begin(past, bulk->options, bulk->data);
	*past = (struct pd_cli_past){ 0 };
	status = pd_admin_begin(&past->admin, bulk->options, bulk->data, hello, &reply);
	past->admin.link.patience_s = 0; /* it is much work, where an actor is large */
	return status;
}

static int list_names(const struct pd_bulk *bulk, struct pd_actor_names *names, struct pd_error *err)
{
	if (bulk->only != NULL)
		return pd_actor_names_add(names, pd_slice_string(bulk->only), err);
	if (bulk->list != NULL)
		return bulk->list(bulk, names, err);
	return pd_actor_names_list(names, bulk->data, bulk->given->tenant, bulk->given->match, err);
}

int pd_bulk_run(struct pd_bulk *bulk)
{
	struct pd_output output = { .file = stdout };
	struct pd_actor_names names;
	struct pd_error err = { 0 };
	struct pd_cli_past past;
	int status = pd_bulk_open(bulk, &past), result;

	pd_actor_names_init(&names);
	if (status == PD_EXIT_OK) {
		result = list_names(bulk, &names, &err);
		if (result == 0)
			result = carry_out(bulk, &past, &names, &status, &err);
		if (result != 0) {
			(void)fprintf(stderr, "%s: %s\n", bulk->options->command, err.text);
			status = pd_server_exit_status(result);
		}
		if (!pd_output_finish(&output) && status == PD_EXIT_OK)
			status = PD_EXIT_FAILURE;
	}
	pd_actor_names_done(&names);
	pd_cli_past_end(&past);
	return status;
}
