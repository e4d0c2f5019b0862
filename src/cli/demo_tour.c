/* `perdure demo tour`: a little tour on a server of its own, which is killed on the way. What is shown is what happens. */
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "cli/demo_private.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/reply.h"
#include "cli/scratch.h"
#include "cli/words.h"
#include "engine/engine.h"
#include "os/child.h"
#include "server/server.h"
#include "wire/resp.h"

#define WRITING_NS UINT64_C(1000000000) /* before it is killed */
#define WRITES_MAX 5000u

struct given {
	const char *data;
	bool yes, keep;
};

static const struct pd_option table[] = {
	{ "data", "DIR", PD_OPTION_TEXT, offsetof(struct given, data), 0, 0,
	  "Directory to make and to play in (default: a new one in TMPDIR, else /tmp)." },
	{ "yes", NULL, PD_OPTION_SWITCH, offsetof(struct given, yes), 0, 0,
	  "Do not wait for Enter; nor does it where there is no terminal." },
	{ "keep", NULL, PD_OPTION_SWITCH, offsetof(struct given, keep), 0, 0,
	  "Leave the directory there, to look around in. Otherwise it is removed." },
};

static const struct pd_options options = {
	.command = "perdure demo tour",
	.synopsis = "perdure demo [tour] [options]",
	.about = "A tour of two minutes on a scratch server: values, actors, a transaction over two of them; "
		 "then\n"
		 "the server is killed (kill -9) in the middle of writing, started again, and everything "
		 "that was\n"
		 "acknowledged is counted. It listens on no port, and touches nothing but its own directory.",
	.table = table,
	.count = sizeof table / sizeof *table,
	.after = "Examples:\n"
		 "  perdure demo\n"
		 "  perdure demo --yes --keep --data /tmp/playground\n"
		 "\n"
		 "Exit status:\n"
		 "  0  all of it went as it should\n"
		 "  1  it could not be shown, or something acknowledged was missing\n"
		 "  2  the command line is wrong",
};

struct demo {
	const struct given *given;
	struct pd_scratch scratch;
	struct pd_output output;
	struct pd_reply_style style;
	bool interactive;
};

/* ---- showing ---- */

/* What comes next; waits for Enter. false: the visitor leaves. */
static bool step(struct demo *demo, const char *text)
{
	int first, key;

	pd_output_text(&demo->output, "\n%s\n", text);
	if (demo->interactive)
		pd_output_text(&demo->output, "[Enter goes on, q and Enter leaves] ");
	(void)fflush(demo->output.file);
	if (!demo->interactive)
		return true;
	first = key = getchar();
	while (key != '\n' && key != EOF)
		key = getchar();
	return key != EOF && first != 'q' && first != 'Q';
}

/* Show a command and its reply, which may be no error. */
static int show(struct demo *demo, const char *line, struct pd_error *err)
{
	struct pd_slice reply;
	struct pd_words words;
	int result;

	pd_words_init(&words);
	result = pd_words_split(&words, pd_slice_string(line), err);
	if (result == 0)
		result = pd_link_send(&demo->scratch.link, words.items, words.count, err);
	if (result == 0)
		result = pd_link_receive(&demo->scratch.link, 60, &reply, err);
	pd_words_done(&words);
	if (result != 0)
		return result;
	pd_output_text(&demo->output, "  > %s\n", line);
	pd_reply_print(&demo->output, reply, &demo->style);
	(void)fflush(demo->output.file);
	if (pd_reply_is_error(reply))
		return pd_error_set(err, PD_INVALID, "the server refused '%s'", line);
	return 0;
}

static int show_all(struct demo *demo, const char *const *lines, struct pd_error *err)
{
	int result = 0;

	for (; *lines != NULL && result == 0; lines++)
		result = show(demo, *lines, err);
	return result;
}

/* ---- the crash ---- */

static int count_up(struct demo *demo, uint64_t *ret_acknowledged, struct pd_error *err)
{
	static const char *const increment[] = { "INCR", "{demo}:count", NULL };
	uint64_t began = pd_os_monotonic_ns(demo->scratch.os), count = 0;
	struct pd_slice reply;
	int result = 0;

	while (count < WRITES_MAX && pd_os_monotonic_ns(demo->scratch.os) - began < WRITING_NS) {
		result = pd_target_ask(&demo->scratch.link, increment, &reply, err);
		if (result != 0)
			return result;
		count++;
	}
	*ret_acknowledged = count;
	return 0;
}

/* One more is on its way, under a key, when the process is killed. */
static int kill_in_flight(struct demo *demo, struct pd_error *err)
{
	static const char *const key[] = { "PD.IDEMPOTENCY", "the-last-one", NULL };
	const struct pd_slice increment[] = { pd_slice_string("INCR"), pd_slice_string("{demo}:count") };
	struct pd_slice reply;
	int result = pd_target_ask(&demo->scratch.link, key, &reply, err);

	if (result == 0)
		result = pd_link_send(&demo->scratch.link, increment, 2, err);
	pd_scratch_kill(&demo->scratch);
	return result;
}

/* Every one that was acknowledged, and the one in flight exactly once, however often it is sent. */
static int check_count(struct demo *demo, uint64_t acknowledged, struct pd_error *err)
{
	static const char *const get[] = { "GET", "{demo}:count", NULL };
	static const char *const key[] = { "PD.IDEMPOTENCY", "the-last-one", NULL };
	static const char *const increment[] = { "INCR", "{demo}:count", NULL };
	int64_t found, again;
	struct pd_slice reply;
	int result = pd_scratch_number(&demo->scratch, get, &found, err);

	if (result != 0)
		return result;
	pd_output_text(&demo->output,
		       "  acknowledged before the kill: %" PRIu64 "\n  found after the restart:      %" PRId64
		       "%s\n",
		       acknowledged, found,
		       (uint64_t)found == acknowledged + 1 ? "  (the one in flight had made it, too)" : "");
	if ((uint64_t)found < acknowledged || (uint64_t)found > acknowledged + 1)
		return pd_error_set(err, PD_CORRUPT,
				    "that is not what was acknowledged: please report it, with %s",
				    demo->scratch.data);
	result = pd_target_ask(&demo->scratch.link, key, &reply, err);
	if (result == 0)
		result = pd_scratch_number(&demo->scratch, increment, &again, err);
	if (result != 0)
		return result;
	pd_output_text(&demo->output, "  the one in flight, sent again under its key: %" PRId64 "\n", again);
	if ((uint64_t)again != acknowledged + 1)
		return pd_error_set(err, PD_CORRUPT, "that is not once: please report it, with %s",
				    demo->scratch.data);
	return 0;
}

static int crash(struct demo *demo, struct pd_error *err)
{
	static const char *const survivors[] = { "HGETALL '{ada}:profile'", "GET '{shop}:apples'", NULL };
	uint64_t acknowledged = 0;
	int result = count_up(demo, &acknowledged, err);

	if (result == 0)
		result = kill_in_flight(demo, err);
	if (result != 0)
		return result;
	pd_output_text(&demo->output, "  kill -9: the server is gone. Starting it again ...\n");
	(void)fflush(demo->output.file);
	result = pd_scratch_start(&demo->scratch, err);
	if (result == 0)
		result = check_count(demo, acknowledged, err);
	return result == 0 ? show_all(demo, survivors, err) : result;
}

static int verify(struct demo *demo, struct pd_error *err)
{
	const char *argv[] = { "perdure", "log", "verify", "--data", demo->scratch.data, NULL };
	struct pd_os_child child;
	int result, status;

	(void)fflush(stdout);
	result = pd_os_child_start(&child, argv, NULL, err);
	if (result != 0)
		return result;
	status = pd_os_child_wait(&child);
	return status == 0 ? 0 : pd_error_set(err, PD_CORRUPT, "perdure log verify ended with %d", status);
}

/* ---- the tour ---- */

static int tour(struct demo *demo, struct pd_error *err)
{
	static const char *const values[] = { "SET greeting 'hello there'", "GET greeting",
					      "HSET '{ada}:profile' name Ada born 1815",
					      "HGETALL '{ada}:profile'", NULL };
	static const char *const transaction[] = { "SET '{shop}:apples' 10",
						   "MULTI",
						   "DECR '{shop}:apples'",
						   "SET '{ada}:basket' '1 apple'",
						   "EXEC",
						   "PD.RECEIPT",
						   NULL };
	int result;

	if (!step(demo, "1. Values. A key that begins with {name} belongs to the actor of that name: "
			"{ada}:profile is Ada's."))
		return 0;
	result = show_all(demo, values, err);
	if (result != 0 ||
	    !step(demo, "2. One transaction over two actors is one record in the log: all of it or nothing. "
			"The receipt "
			"says\n   where it stands in the log, and that it is on stable storage (strict)."))
		return result;
	result = show_all(demo, transaction, err);
	if (result != 0 ||
	    !step(demo, "3. Now it counts for a second, as fast as one client can, each write acknowledged "
			"when it is on "
			"the\n   disk. Then it is killed without warning, with one more write under way."))
		return result;
	result = crash(demo, err);
	if (result != 0 || !step(demo, "4. And every byte of the log is as it was written:"))
		return result;
	result = verify(demo, err);
	if (result == 0)
		pd_output_text(&demo->output, "\nThat was it. 'perdure server' begins in earnest, 'perdure "
					      "cli' talks to it, 'perdure doctor' "
					      "looks at\nyour disk, 'perdure --help' has the rest.\n");
	return result;
}

/* ---- the subcommand ---- */

/* Nothing stays but what was asked for; after a failure all does, to be looked at. */
static void clean_up(struct demo *demo, bool failed)
{
	bool keep = failed || demo->given->keep;
	struct pd_error err = { 0 };

	if (keep && demo->scratch.made)
		pd_output_text(&demo->output, "\n%s has the data, %s what the server said.\n",
			       demo->scratch.data, demo->scratch.log);
	if (pd_scratch_done(&demo->scratch, keep, &err) != 0)
		(void)fprintf(stderr, "perdure demo: %s\n", err.text);
}

static int run_demo(struct demo *demo, struct pd_os *os)
{
	struct pd_error err = { 0 }, why = { 0 };
	int result = pd_scratch_init(&demo->scratch, os, demo->given->data, &err);

	if (result == 0) {
		pd_output_text(&demo->output,
			       "A scratch server on %s, with the default durability: strict.\n",
			       demo->scratch.data);
		(void)fflush(demo->output.file);
		result = pd_scratch_start(&demo->scratch, &err);
	}
	if (result == 0)
		result = tour(demo, &err);
	if (pd_scratch_stop(&demo->scratch, &why) != 0 && result == 0) {
		result = PD_IO;
		err = why;
	}
	if (result != 0)
		(void)fprintf(stderr, "perdure demo: %s\n", err.text);
	clean_up(demo, result != 0);
	if (!pd_output_finish(&demo->output) && result == 0)
		result = PD_IO;
	return result == 0 ? PD_EXIT_OK : PD_EXIT_FAILURE;
}

int pd_cli_demo_tour(int argc, char **argv)
{
	struct given given = { 0 };
	struct demo demo = { .given = &given, .output = { .file = stdout } };
	struct pd_os *os;
	struct pd_error err = { 0 };
	int status;

	if (!pd_options_take(&options, argc, argv, &given, &status))
		return status;
	if (given.data != NULL && (given.data[0] == '\0' || strlen(given.data) >= PD_SCRATCH_PATH_SIZE))
		return pd_options_wrong(&options, "--data is a path of 1 to %d bytes",
					PD_SCRATCH_PATH_SIZE - 1);
	if (pd_os_real_new(&os, &err) != 0) {
		(void)fprintf(stderr, "perdure demo: %s\n", err.text);
		return PD_EXIT_FAILURE;
	}
	demo.interactive = !given.yes && isatty(STDIN_FILENO) == 1 && isatty(STDOUT_FILENO) == 1;
	demo.style.colour = isatty(STDOUT_FILENO) == 1 && getenv("NO_COLOR") == NULL;
	status = run_demo(&demo, os);
	pd_os_free(os);
	return status;
}
