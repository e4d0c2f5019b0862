/* `perdure cli`: commands to a running server, one, many from standard input, or as they are typed. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/options.h"
#include "cli/shell_private.h"
#include "server/server.h"

#define STDIN_MAX   (512u * 1024 * 1024) /* of one argument, and of one line */
#define STDIN_CHUNK (64u * 1024)

/* Values as they are given. */
struct given {
	struct pd_target target;
	const char *actor, *format;
	uint64_t repeat, interval_ms;
	bool json, raw, pretty, last_from_stdin, stop_on_error;
};

#define AT(field) offsetof(struct given, field)

static const struct pd_option table[] = {
	PD_TARGET_OPTIONS(struct given),
	{ "actor", "NAME", PD_OPTION_TEXT, AT(actor), 0, 0,
	  "Begin with PD.USE NAME: keys are those of this actor." },
	{ "o", "FORMAT", PD_OPTION_TEXT, AT(format), 0, 0,
	  "pretty (default at a terminal): with types, numbers and indentation; raw (default elsewhere):\n"
	  "bytes as they are, one item a line; json: one JSON value a line; text: one of the first two." },
	{ "json", NULL, PD_OPTION_SWITCH, AT(json), 0, 0, "The same as -o json." },
	{ "raw", NULL, PD_OPTION_SWITCH, AT(raw), 0, 0, "The same as -o raw." },
	{ "pretty", NULL, PD_OPTION_SWITCH, AT(pretty), 0, 0, "The same as -o pretty." },
	{ "x", NULL, PD_OPTION_SWITCH, AT(last_from_stdin), 0, 0,
	  "Read the last argument of the command from standard input." },
	{ "r", "N", PD_OPTION_NUMBER, AT(repeat), 0, INT64_MAX,
	  "Run the command N times; 0: until interrupted (default 1)." },
	{ "i", "SECONDS", PD_OPTION_INTERVAL_MS, AT(interval_ms), 1, 0,
	  "Wait so long between two of them: 2, 0.5, 500ms (default: not at all)." },
	{ "stop-on-error", NULL, PD_OPTION_SWITCH, AT(stop_on_error), 0, 0,
	  "Of commands from standard input: end at the first that is answered with an error." },
};

static const struct pd_options options = {
	.command = "perdure cli",
	.synopsis = "perdure cli [options] [COMMAND [ARGUMENT...]]",
	.about = "Talks to a running server. With a command: sends it and prints the reply. Without one, at "
		 "a\n"
		 "terminal: a shell with history, completion (TAB), hints and 'help'. Else: one command a\n"
		 "line from standard input; empty lines and those that begin with # are passed over.\n"
		 "'perdure cli help SET' tells how a command is written.\n"
		 "\n"
		 "After SUBSCRIBE, PSUBSCRIBE or MONITOR it shows what comes until it is interrupted.",
	.table = table,
	.count = sizeof table / sizeof *table,
	.environment_count = PD_TARGET_ENVIRONMENT,
	.operands = "[COMMAND [ARGUMENT...]]",
	.after =
		"Examples:\n"
		"  perdure cli\n"
		"  perdure cli --data /var/lib/perdure PD.STORE STATS\n"
		"  perdure cli --port 7379 SET greeting 'hello there'\n"
		"  perdure cli --json HGETALL profile | jq .name\n"
		"  perdure cli help SET\n"
		"  perdure cli -r 0 -i 1 DBSIZE\n"
		"  perdure cli -x SET picture < picture.png\n"
		"  perdure cli --stop-on-error < commands.txt\n"
		"\n"
		"Environment:\n"
		"  PERDURE_PASSWORD  the password that goes with --user\n"
		"  PERDURE_HISTORY   file of the shell's history (default ~/.perdure_history; empty: none).\n"
		"                    Lines with passwords, and those that begin with a blank, stay out of "
		"it\n"
		"  NO_COLOR          if it is set, no colours and no hints\n"
		"\n"
		"Exit status:\n"
		"  0  every command was answered, and with no error\n"
		"  1  there is no server, it was lost, or its answer could not be written\n"
		"  2  the command line is wrong\n"
		"  5  the server answered a command with an error",
};

static int failed(const struct pd_error *err)
{
	(void)fprintf(stderr, "perdure cli: %s\n", err->text);
	return PD_EXIT_FAILURE;
}

/* ---- how replies are shown ---- */

static bool choose_style(const struct given *given, struct pd_reply_style *ret_style)
{
	static const struct {
		const char *name;
		enum pd_reply_form form;
	} forms[] = { { "json", PD_REPLY_JSON }, { "raw", PD_REPLY_RAW }, { "pretty", PD_REPLY_PRETTY } };
	bool terminal = isatty(STDOUT_FILENO) == 1;
	const char *format = given->json     ? "json"
			     : given->raw    ? "raw"
			     : given->pretty ? "pretty"
					     : given->format;

	if (given->json + given->raw + given->pretty + (given->format != NULL) > 1) {
		(void)pd_options_wrong(&options, "only one of -o, --json, --raw and --pretty can be had");
		return false;
	}
	ret_style->form = terminal ? PD_REPLY_PRETTY : PD_REPLY_RAW;
	ret_style->colour = terminal && getenv("NO_COLOR") == NULL;
	if (format == NULL || strcmp(format, "text") == 0)
		return true;
	for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
		if (strcmp(format, forms[i].name) == 0) {
			ret_style->form = forms[i].form;
			return true;
		}
	(void)pd_options_wrong(&options, "-o is pretty, raw, json or text, not \"%s\"", format);
	return false;
}

/* ---- one command ---- */

/* All of standard input. */
static int read_stdin(struct pd_buffer *bytes, struct pd_error *err)
{
	for (;;) {
		int result = pd_buffer_reserve(bytes, STDIN_CHUNK);
		ssize_t got;

		if (result != 0)
			return pd_error_set(err, result,
					    result == PD_NO_MEMORY ? "out of memory for standard input"
								   : "standard input is longer than %u MiB",
					    STDIN_MAX >> 20);
		got = read(STDIN_FILENO, bytes->data + bytes->size, STDIN_CHUNK);
		if (got == 0)
			return 0;
		if (got < 0)
			return pd_error_set(err, PD_IO, "standard input cannot be read");
		bytes->size += (size_t)got;
	}
}

static int take_words(struct pd_words *words, int count, char **arguments, bool last_from_stdin,
		      struct pd_error *err)
{
	struct pd_buffer bytes;
	int result = 0;

	for (int i = 0; i < count && result == 0; i++)
		result = pd_words_add(words, pd_slice_string(arguments[i]), err);
	if (result != 0 || !last_from_stdin)
		return result;
	pd_buffer_init(&bytes, STDIN_MAX);
	result = read_stdin(&bytes, err);
	if (result == 0)
		result = pd_words_add(words, pd_buffer_slice(&bytes), err);
	pd_buffer_done(&bytes);
	return result;
}

static int run_command(struct pd_shell *shell, const struct given *given, const struct pd_words *words)
{
	bool refused_any = false;

	for (uint64_t done = 0; given->repeat == 0 || done < given->repeat; done++) {
		struct pd_error err = { 0 };
		bool refused;

		if (done > 0 && given->interval_ms > 0)
			(void)pd_shell_pause(shell, given->interval_ms);
		if (pd_shell_run(shell, words, &refused, &err) != 0)
			return failed(&err);
		refused_any = refused_any || refused;
	}
	return refused_any ? PD_EXIT_REFUSED : PD_EXIT_OK;
}

/* ---- commands from standard input ---- */

struct lines {
	struct pd_shell *shell;
	const struct given *given;
	struct pd_words words;
	struct pd_buffer text; /* what has been read and not run */
	bool refused_any, stop;
};

/* 0, or the exit status that ends it all. */
static int run_line(struct lines *lines, struct pd_slice line)
{
	struct pd_error err = { 0 };
	bool refused;

	lines->shell->line++;
	if (line.size > 0 && line.data[0] == '#')
		return 0;
	if (pd_words_split(&lines->words, line, &err) != 0) {
		(void)fprintf(stderr, "perdure cli: line %llu: %s\n", (unsigned long long)lines->shell->line,
			      err.text);
		return PD_EXIT_USAGE;
	}
	if (lines->words.count == 0)
		return 0;
	if (pd_shell_run(lines->shell, &lines->words, &refused, &err) != 0) {
		(void)fprintf(stderr, "perdure cli: line %llu: %s\n", (unsigned long long)lines->shell->line,
			      err.text);
		return PD_EXIT_FAILURE;
	}
	if (!refused)
		return 0;
	lines->refused_any = true;
	lines->stop = lines->given->stop_on_error;
	/* Raw replies have said it themselves, there. */
	if (lines->shell->style.form != PD_REPLY_RAW)
		(void)fprintf(stderr, "perdure cli: line %llu: the server answered with an error\n",
			      (unsigned long long)lines->shell->line);
	if (lines->stop)
		(void)fprintf(stderr, "perdure cli: stopped at line %llu\n",
			      (unsigned long long)lines->shell->line);
	return 0;
}

/* Run what is complete of the text; at the end, the rest, too. */
static int run_text(struct lines *lines, bool end)
{
	size_t began = 0, size = lines->text.size;
	int status = 0;

	while (status == 0 && !lines->stop && began < size) {
		const uint8_t *from = lines->text.data + began;
		const uint8_t *newline = memchr(from, '\n', size - began);

		if (newline == NULL && !end)
			break;
		status = run_line(lines,
				  pd_slice(from, newline != NULL ? (size_t)(newline - from) : size - began));
		began = newline != NULL ? (size_t)(newline - lines->text.data) + 1 : size;
	}
	pd_buffer_consume(&lines->text, began);
	return status;
}

static int run_lines(struct lines *lines)
{
	int status = 0;
	bool end = false;

	while (status == 0 && !lines->stop && !end) {
		ssize_t got;

		if (pd_buffer_reserve(&lines->text, STDIN_CHUNK) != 0) {
			(void)fprintf(stderr, "perdure cli: line %llu: too long, or out of memory for it\n",
				      (unsigned long long)lines->shell->line + 1);
			return PD_EXIT_FAILURE;
		}
		got = read(STDIN_FILENO, lines->text.data + lines->text.size, STDIN_CHUNK);
		if (got < 0) {
			(void)fprintf(stderr, "perdure cli: standard input cannot be read\n");
			return PD_EXIT_FAILURE;
		}
		end = got == 0;
		lines->text.size += (size_t)got;
		status = run_text(lines, end);
	}
	return status == 0 && lines->refused_any ? PD_EXIT_REFUSED : status;
}

static int run_stdin(struct pd_shell *shell, const struct given *given)
{
	struct lines lines = { .shell = shell, .given = given };
	struct pd_error err = { 0 };
	int status;

	/* Whether there is a server is said before anything is read. */
	if (pd_shell_connect(shell, &err) != 0)
		return failed(&err);
	pd_words_init(&lines.words);
	pd_buffer_init(&lines.text, STDIN_MAX);
	status = run_lines(&lines);
	pd_words_done(&lines.words);
	pd_buffer_done(&lines.text);
	return status;
}

/* ---- the subcommand ---- */

static int run_shell(struct pd_shell *shell, const struct given *given, int count, char **arguments)
{
	struct pd_error err = { 0 };
	struct pd_words words;
	int status;

	if (count == 0 && isatty(STDIN_FILENO) == 1 && isatty(STDOUT_FILENO) == 1)
		return pd_shell_interact(shell);
	if (count == 0)
		return run_stdin(shell, given);
	pd_words_init(&words);
	if (take_words(&words, count, arguments, given->last_from_stdin, &err) != 0)
		status = failed(&err);
	else if (pd_words_are(&words, 0, "help"))
		status = pd_shell_help_once(shell, &words);
	else
		status = run_command(shell, given, &words);
	pd_words_done(&words);
	return status;
}

static bool check(const struct given *given, int operands)
{
	if (given->actor != NULL &&
	    (given->actor[0] == '\0' || strlen(given->actor) >= PD_SHELL_ACTOR_SIZE)) {
		(void)pd_options_wrong(&options, "--actor is a name of 1 to %d bytes",
				       PD_SHELL_ACTOR_SIZE - 1);
		return false;
	}
	if (operands == 0 && (given->last_from_stdin || given->repeat != 1 || given->interval_ms != 0)) {
		(void)pd_options_wrong(&options, "-x, -r and -i go with a command: perdure cli %s COMMAND",
				       given->last_from_stdin ? "-x" : "-r 10 -i 1");
		return false;
	}
	return true;
}

static int run(int argc, char **argv)
{
	struct given given = { .repeat = 1 };
	struct pd_shell shell = { .output = { .file = stdout } };
	char password[PD_TARGET_PASSWORD_SIZE];
	struct pd_error err = { 0 };
	int operand = argc, status;

	if (!pd_options_begin(&options, argc, argv, &given, &operand, &status))
		return status;
	if (!check(&given, argc - operand) || !choose_style(&given, &shell.style))
		return PD_EXIT_USAGE;
	if (given.actor != NULL)
		(void)snprintf(shell.actor, sizeof shell.actor, "%s", given.actor);
	pd_link_init(&shell.link);
	if (pd_target_take_password(&given.target, password, &err) != 0 ||
	    pd_os_real_new(&shell.os, &err) != 0)
		return failed(&err);
	shell.target = given.target;
	status = run_shell(&shell, &given, argc - operand, argv + operand);
	pd_link_close(&shell.link);
	pd_os_free(shell.os);
	explicit_bzero(password, sizeof password);
	return status;
}

const struct pd_subcommand pd_subcommand_cli = { "cli", "talk to a running server: a shell, or one command",
						 run };
