/* `perdure`: find the subcommand and run it. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/options.h"
#include "cli/output.h"
#include "server/server.h"

static const struct pd_subcommand *const subcommands[] = {
#define X(name) &pd_subcommand_##name,
	PD_SUBCOMMANDS(X)
#undef X
};
#define SUBCOMMAND_COUNT (sizeof subcommands / sizeof *subcommands)

/* What each status means, wherever it comes from; the subcommands' own pages say it more exactly. */
static const struct {
	enum pd_exit status;
	const char *text;
} exits[] = {
	{ PD_EXIT_OK, "done, and nothing is wrong" },
	{ PD_EXIT_FAILURE,
	  "it failed: no server, a disk, memory, no permission (doctor: there are warnings)" },
	{ PD_EXIT_USAGE,
	  "the command line, the environment or the configuration is wrong (doctor: there is danger)" },
	{ PD_EXIT_BUSY, "another process has the data directory" },
	{ PD_EXIT_DAMAGED, "the data directory is damaged, or was written by a newer version" },
	{ PD_EXIT_REFUSED, "the server answered a command with an error" },
};
#define EXIT_COUNT (sizeof exits / sizeof *exits)

static const char about[] = "a durable store for everything an actor knows";
static const char synopsis[] = "perdure SUBCOMMAND [options]";

static void print_help(FILE *to)
{
	(void)fprintf(to, "perdure " PD_VERSION ": %s\n\nusage: %s\n\nSubcommands:\n", about, synopsis);
	for (size_t i = 0; i < SUBCOMMAND_COUNT; i++)
		(void)fprintf(to, "  %-10s %s\n", subcommands[i]->name, subcommands[i]->summary);
	(void)fprintf(to,
		      "  %-10s explain a subcommand: perdure help server\n"
		      "\n"
		      "  --help      print this page; of each subcommand, too\n"
		      "  --describe  the same as JSON\n"
		      "  --version   print the version\n"
		      "\n"
		      "Exit status:\n",
		      "help");
	for (size_t i = 0; i < EXIT_COUNT; i++)
		(void)fprintf(to, "  %d  %s\n", (int)exits[i].status, exits[i].text);
	(void)fprintf(to, "\nTo begin: 'perdure server', then 'perdure cli' beside it.\n");
}

static void describe(void)
{
	struct pd_output output = { .file = stdout };

	pd_output_open(&output, NULL, '{');
	pd_output_string_field(&output, "command", "perdure");
	pd_output_string_field(&output, "version", PD_VERSION);
	pd_output_string_field(&output, "synopsis", synopsis);
	pd_output_string_field(&output, "about", about);
	pd_output_open(&output, "subcommands", '[');
	for (size_t i = 0; i < SUBCOMMAND_COUNT; i++) {
		pd_output_open(&output, NULL, '{');
		pd_output_string_field(&output, "name", subcommands[i]->name);
		pd_output_string_field(&output, "summary", subcommands[i]->summary);
		pd_output_close(&output, '}');
	}
	pd_output_close(&output, ']');
	pd_output_open(&output, "exit_statuses", '[');
	for (size_t i = 0; i < EXIT_COUNT; i++) {
		pd_output_open(&output, NULL, '{');
		pd_output_number_field(&output, "status", (uint64_t)exits[i].status);
		pd_output_string_field(&output, "text", exits[i].text);
		pd_output_close(&output, '}');
	}
	pd_output_close(&output, ']');
	pd_output_close(&output, '}');
	pd_output_end(&output);
}

static const struct pd_subcommand *find(const char *name)
{
	for (size_t i = 0; i < SUBCOMMAND_COUNT; i++)
		if (strcmp(subcommands[i]->name, name) == 0)
			return subcommands[i];
	return NULL;
}

static int unknown(const char *name)
{
	const char *names[SUBCOMMAND_COUNT + 2];
	size_t count = 0;

	for (; count < SUBCOMMAND_COUNT; count++)
		names[count] = subcommands[count]->name;
	names[count++] = "help";
	names[count] = NULL;
	return pd_subcommand_unknown("perdure", name, names);
}

/* Before any subcommand there are few. */
static int unknown_option(const char *word)
{
	static const char *const names[] = { "--help", "--version", "--describe", NULL };
	const char *nearest = pd_nearest_name(word, names);

	if (nearest != NULL)
		(void)fprintf(stderr, "perdure: there is no option %s; did you mean %s?\n", word, nearest);
	else
		(void)fprintf(stderr, "perdure: options come behind the subcommand: perdure SUBCOMMAND %s\n",
			      word);
	(void)fprintf(stderr, "Try 'perdure --help'.\n");
	return PD_EXIT_USAGE;
}

static int help(int argc, char **argv)
{
	char flag[] = "--help";
	const struct pd_subcommand *subcommand;
	char *arguments[4] = { NULL };
	int count = argc < 3 ? 1 : 2; /* `perdure help log dump` */

	if (argc < 2) {
		print_help(stdout);
		return PD_EXIT_OK;
	}
	subcommand = find(argv[1]);
	if (subcommand == NULL)
		return unknown(argv[1]);
	for (int i = 0; i < count; i++)
		arguments[i] = argv[i + 1];
	arguments[count] = flag;
	return subcommand->run(count + 1, arguments);
}

int main(int argc, char **argv)
{
	const struct pd_subcommand *subcommand;

	if (argc < 2) {
		print_help(stderr);
		return PD_EXIT_USAGE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
		print_help(stdout);
		return PD_EXIT_OK;
	}
	if (strcmp(argv[1], "--describe") == 0) {
		describe();
		return PD_EXIT_OK;
	}
	if (strcmp(argv[1], "--version") == 0) {
		(void)printf("perdure " PD_VERSION "\n");
		return PD_EXIT_OK;
	}
	if (strcmp(argv[1], "help") == 0)
		return help(argc - 1, argv + 1);
	if (argv[1][0] == '-')
		return unknown_option(argv[1]);
	subcommand = find(argv[1]);
	return subcommand != NULL ? subcommand->run(argc - 1, argv + 1) : unknown(argv[1]);
}
