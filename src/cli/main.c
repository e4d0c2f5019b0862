/* `perdure`: find the subcommand and run it. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/options.h"
#include "server/server.h"

static const struct pd_subcommand *const subcommands[] = {
#define X(name) &pd_subcommand_##name,
	PD_SUBCOMMANDS(X)
#undef X
};
#define SUBCOMMAND_COUNT (sizeof subcommands / sizeof *subcommands)

static void print_help(FILE *to)
{
	(void)fprintf(to, "perdure " PD_VERSION ": a durable store for everything an actor knows\n"
			  "\n"
			  "usage: perdure SUBCOMMAND [options]\n"
			  "\n"
			  "Subcommands:\n");
	for (size_t i = 0; i < SUBCOMMAND_COUNT; i++)
		(void)fprintf(to, "  %-10s %s\n", subcommands[i]->name, subcommands[i]->summary);
	(void)fprintf(to,
		      "  %-10s explain a subcommand: perdure help server\n"
		      "\n"
		      "  --help     print this page\n"
		      "  --version  print the version\n"
		      "\n"
		      "To begin: `perdure server`, then `perdure cli`.\n",
		      "help");
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
	if (strcmp(argv[1], "--version") == 0) {
		(void)printf("perdure " PD_VERSION "\n");
		return PD_EXIT_OK;
	}
	if (strcmp(argv[1], "help") == 0)
		return help(argc - 1, argv + 1);
	subcommand = find(argv[1]);
	return subcommand != NULL ? subcommand->run(argc - 1, argv + 1) : unknown(argv[1]);
}
